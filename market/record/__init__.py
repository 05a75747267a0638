"""The record: an append-only SQLite file of readings, inputs, gate closures, results and transfers."""

from market.record.record import Record, RecordError

__all__ = ["Record", "RecordError"]
