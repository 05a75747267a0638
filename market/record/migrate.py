"""Bringing a record of an older released version to this version's format, all of it or nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from market.record.database import Database
from market.record.rows import RecordError

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(database: Database) -> None:
    """Run every migration that the record lacks, in one transaction. Raises RecordError; then nothing is changed."""
    try:
        with database.engine().begin() as connection:
            upgrade(connection, from_format=database.format())
    except SQLAlchemyError as error:
        # What the database itself said: SQLAlchemy adds lines of its own.
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise RecordError(f"{database.name}: cannot be brought to the present format: {said}") from error


def upgrade(connection: Connection, from_format: int, to: str = "head") -> None:
    """Run the migrations above ``from_format`` on an open transaction; 0: from nothing."""
    configuration = Config()
    configuration.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    configuration.attributes["connection"] = connection
    if from_format and "alembic_version" not in inspect(connection).get_table_names():
        # Version 0.1.0 knew no Alembic.
        command.stamp(configuration, str(from_format))
    command.upgrade(configuration, to)
