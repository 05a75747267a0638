"""The record: append-only tables of readings, inputs, gate closures, results and transfers, in SQLite or PostgreSQL."""

from market.record.record import Record
from market.record.rows import (
    ChainRow,
    ChangedMeanwhileError,
    Correction,
    Gate,
    MeterStatus,
    RecordError,
    RecordFullError,
    Transfer,
    transfer_id,
)

__all__ = [
    "ChainRow",
    "ChangedMeanwhileError",
    "Correction",
    "Gate",
    "MeterStatus",
    "Record",
    "RecordError",
    "RecordFullError",
    "Transfer",
    "transfer_id",
]
