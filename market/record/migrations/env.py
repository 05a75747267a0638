"""Alembic runs this: the migrations go through the connection, and the transaction, that were handed in."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
