"""The tables as version 0.1.0 made them, for SQLite only then."""

from alembic import op

revision = "1"
down_revision = None

APPEND_ONLY = ("input", "reading", "quarantine", "gate", "result", "transfer")
TABLES = (
    """CREATE TABLE input (kind TEXT NOT NULL, version {whole} NOT NULL, stored_at {whole} NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (kind, version)){by_key}""",
    """CREATE TABLE reading (arrival {whole} PRIMARY KEY, meter TEXT NOT NULL, start {whole} NOT NULL,
    length {whole} NOT NULL, import_wh {whole} NOT NULL, export_wh {whole} NOT NULL, generation_wh {whole} NOT NULL,
    consumption_wh {whole} NOT NULL, outbox TEXT NOT NULL, seq {whole} NOT NULL, payload {bytes} NOT NULL,
    UNIQUE (start, length, meter)){strict}""",
    "CREATE INDEX reading_of_meter ON reading (meter, start)",
    """CREATE TABLE quarantine (arrival {whole} PRIMARY KEY, received_at {whole} NOT NULL, outcome TEXT NOT NULL,
    topic TEXT NOT NULL, payload {bytes} NOT NULL){strict}""",
    "CREATE INDEX quarantine_of_outcome ON quarantine (outcome)",
    "CREATE TABLE outcome (name TEXT PRIMARY KEY, count {whole} NOT NULL){by_key}",
    """CREATE TABLE outbox (meter TEXT NOT NULL, outbox TEXT NOT NULL, next {whole} NOT NULL,
    advanced {whole} NOT NULL, PRIMARY KEY (meter, outbox)){by_key}""",
    """CREATE TABLE held (meter TEXT NOT NULL, outbox TEXT NOT NULL, seq {whole} NOT NULL,
    PRIMARY KEY (meter, outbox, seq)){by_key}""",
    """CREATE TABLE gate (number {whole} PRIMARY KEY, start {whole} NOT NULL, length {whole} NOT NULL,
    revision {whole} NOT NULL, closed_at {whole} NOT NULL, horizon {whole} NOT NULL, inputs TEXT NOT NULL,
    versions TEXT NOT NULL, UNIQUE (start, length, revision)){strict}""",
    "CREATE TABLE result (gate {whole} PRIMARY KEY REFERENCES gate (number), body TEXT NOT NULL){strict}",
    """CREATE TABLE transfer (id TEXT PRIMARY KEY, gate {whole} NOT NULL REFERENCES gate (number), debit TEXT NOT NULL,
    credit TEXT NOT NULL, amount {whole} NOT NULL CHECK (amount > 0), reason TEXT NOT NULL){by_key}""",
    "CREATE INDEX transfer_of_gate ON transfer (gate)",
)


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    words = (
        {"whole": "INTEGER", "bytes": "BLOB", "strict": " STRICT", "by_key": " STRICT, WITHOUT ROWID"}
        if sqlite
        else {"whole": "BIGINT", "bytes": "BYTEA", "strict": "", "by_key": ""}
    )
    for table in TABLES:
        op.execute(table.format(**words))
    if sqlite:
        for table in APPEND_ONLY:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_{verb}_refused BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        op.execute("PRAGMA user_version = 1")
