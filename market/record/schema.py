"""The tables of the record.

Rows of the append-only tables are never changed or deleted; triggers refuse it, so that not even a
defect in our own code can. ``outbox``, ``held`` and ``outcome`` are the only tables that move:
they say how far each meter has been acknowledged and how often each kind of message came.
"""

from __future__ import annotations

FORMAT = 1
"""Raised with every change of the tables; a record of another format is refused by name."""

APPEND_ONLY = ("input", "reading", "quarantine", "gate", "result", "transfer")

TABLES = """
CREATE TABLE input (            -- versioned inputs: the newest stored before an interval starts applies to it
    kind TEXT NOT NULL, version INTEGER NOT NULL, stored_at INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE reading (          -- registers [Wh] at the end of [start, start + length)
    arrival INTEGER PRIMARY KEY,
    meter TEXT NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
    import_wh INTEGER NOT NULL, export_wh INTEGER NOT NULL,
    generation_wh INTEGER NOT NULL, consumption_wh INTEGER NOT NULL,
    outbox TEXT NOT NULL, seq INTEGER NOT NULL, payload BLOB NOT NULL,
    UNIQUE (start, length, meter)
) STRICT;
CREATE INDEX reading_of_meter ON reading (meter, start);
CREATE TABLE quarantine (       -- messages that were not stored as readings, with their raw bytes
    arrival INTEGER PRIMARY KEY, received_at INTEGER NOT NULL,
    outcome TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL
) STRICT;
CREATE INDEX quarantine_of_outcome ON quarantine (outcome);
CREATE TABLE outcome (          -- how often each named outcome came
    name TEXT PRIMARY KEY, count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (           -- every seq below next is kept by the market; advanced: arrivals then
    meter TEXT NOT NULL, outbox TEXT NOT NULL, next INTEGER NOT NULL, advanced INTEGER NOT NULL,
    PRIMARY KEY (meter, outbox)
) STRICT, WITHOUT ROWID;
CREATE TABLE held (             -- seqs kept out of order, at or above next
    meter TEXT NOT NULL, outbox TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (meter, outbox, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE gate (             -- gate closures: what an interval's run saw
    number INTEGER PRIMARY KEY,
    start INTEGER NOT NULL, length INTEGER NOT NULL, revision INTEGER NOT NULL,
    closed_at INTEGER NOT NULL, horizon INTEGER NOT NULL, inputs TEXT NOT NULL, versions TEXT NOT NULL,
    UNIQUE (start, length, revision)
) STRICT;
CREATE TABLE result (           -- the publishable result of a gate closure, as it was computed
    gate INTEGER PRIMARY KEY REFERENCES gate (number), body TEXT NOT NULL
) STRICT;
CREATE TABLE transfer (         -- the ledger: money [Wh x tick] from debit to credit
    id TEXT PRIMARY KEY, gate INTEGER NOT NULL REFERENCES gate (number),
    debit TEXT NOT NULL, credit TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0), reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX transfer_of_gate ON transfer (gate);
"""


def statements() -> str:
    """The script that makes an empty record."""
    guards = [
        f"CREATE TRIGGER {table}_{verb}_refused BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;"
        for table in APPEND_ONLY
        for verb in ("UPDATE", "DELETE")
    ]
    return TABLES + "\n".join(guards) + f"\nPRAGMA user_version = {FORMAT};"
