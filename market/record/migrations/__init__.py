"""How a record gets from each released format to the next; run by Alembic."""
