"""The record: append-only tables of readings, inputs, gate closures, results and transfers, in SQLite or PostgreSQL."""

from market.record.record import Record
from market.record.rows import ChainRow, Correction, Gate, RecordError, RecordFullError, Transfer, transfer_id

__all__ = [
    "ChainRow",
    "Correction",
    "Gate",
    "Record",
    "RecordError",
    "RecordFullError",
    "Transfer",
    "transfer_id",
]
