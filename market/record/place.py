"""Where a store's record lies: a SQLite file in it, or the database that ``record.url`` names."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from broker.private_files import make_private_folder, write_private
from market.record.rows import RecordError

FILE_NAME = "record.sqlite"
URL_FILE = "record.url"
"""Holds the URL, perhaps with a password: mode 0600. Every command finds the record by it."""
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


def record_url(directory: Path, given: str | None = None) -> URL:
    """The URL of the store's record.

    Raises RecordError for a ``given`` URL that cannot be one, or that is another than the store's: a
    community has one record.
    """
    file = directory / URL_FILE
    own = URL.create("sqlite", database=str(directory / FILE_NAME))
    if given is None:
        try:
            return _parse(file.read_text().strip(), str(file))
        except FileNotFoundError:
            return own
    url = _parse(given, "--record")
    if file.exists():
        known = _parse(file.read_text().strip(), str(file))
    elif (directory / FILE_NAME).exists():
        known = own
    else:
        return url
    if _which(url) != _which(known):
        raise RecordError(f"--record {named(url)}: the record of {directory} is {named(known)}; begin a new store")
    return url


def keep_url(directory: Path, url: URL) -> None:
    """Write down where the record lies, when it is not in the store itself."""
    text = url.render_as_string(hide_password=False) + "\n"
    file = directory / URL_FILE
    if url.database == str(directory / FILE_NAME) or (file.exists() and file.read_text() == text):
        return
    make_private_folder(directory)
    write_private(file, text)


def named(url: URL) -> str:
    """What a person reads: a path, or the URL without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def _which(url: URL) -> tuple[object, ...]:
    """What tells one database from another: all but the password, which may be changed."""
    return url.get_backend_name(), url.username, url.host, url.port, url.database, url.query


def _parse(text: str, where: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise RecordError(f"{where}: not a database URL such as postgresql://user@host/name") from None
    kind = url.get_backend_name()
    if kind not in DRIVERS:
        raise RecordError(f"{where}: a record lies in sqlite or postgresql, not in {kind}")
    if not url.database or url.database == ":memory:":
        raise RecordError(f"{where}: {url.render_as_string()} names no database")
    return url.set(drivername=DRIVERS[kind])
