"""Authors of inputs, corrections, months beside intervals, the chain, meters' health; PostgreSQL."""

from alembic import op

revision = "2"
down_revision = "1"

APPEND_ONLY = ("input", "reading", "quarantine", "correction", "gate", "result", "transfer", "chain")
GATE = "number, start, length, revision, closed_at, horizon, inputs, versions"


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    words = (
        {"whole": "INTEGER", "strict": " STRICT", "by_key": " STRICT, WITHOUT ROWID"}
        if sqlite
        else {"whole": "BIGINT", "strict": "", "by_key": ""}
    )

    def run(text: str) -> None:
        op.execute(text.format(**words))

    # Tables are copied: SQLite can neither add a column without a default nor change what is unique.
    run(
        "CREATE TABLE input_2 (kind TEXT NOT NULL, version {whole} NOT NULL, stored_at {whole} NOT NULL,"
        " body TEXT NOT NULL, author TEXT NOT NULL, number {whole} NOT NULL,"
        " PRIMARY KEY (kind, version), UNIQUE (number)){by_key}"
    )
    run(
        "INSERT INTO input_2 SELECT kind, version, stored_at, body, '',"
        " row_number() OVER (ORDER BY stored_at, version, kind) FROM input"
    )
    run(
        "CREATE TABLE gate_2 (number {whole} NOT NULL PRIMARY KEY, kind TEXT NOT NULL, start {whole} NOT NULL,"
        " length {whole} NOT NULL, revision {whole} NOT NULL, closed_at {whole} NOT NULL, horizon {whole} NOT NULL,"
        " corrections {whole} NOT NULL, state TEXT NOT NULL, inputs TEXT NOT NULL, versions TEXT NOT NULL,"
        " UNIQUE (kind, start, length, revision)){strict}"
    )
    run(
        "INSERT INTO gate_2 SELECT number, 'interval', start, length, revision, closed_at, horizon, 0,"
        " CASE revision WHEN 0 THEN 'provisional' ELSE 'corrected' END, inputs, versions FROM gate"
    )
    if not sqlite:
        for table in ("result", "transfer"):
            run(f"ALTER TABLE {table} DROP CONSTRAINT {table}_gate_fkey")
    for table in ("input", "gate"):
        run(f"DROP TABLE {table}")
        run(f"ALTER TABLE {table}_2 RENAME TO {table}")
    run("CREATE INDEX input_applies ON input (kind, stored_at, version)")
    run("DROP INDEX quarantine_of_outcome")
    run("CREATE INDEX quarantine_of_outcome ON quarantine (outcome, topic, arrival)")
    run(
        "CREATE TABLE correction (number {whole} NOT NULL PRIMARY KEY, meter TEXT NOT NULL, start {whole} NOT NULL,"
        " length {whole} NOT NULL, import_wh {whole} NOT NULL, export_wh {whole} NOT NULL,"
        " generation_wh {whole} NOT NULL, consumption_wh {whole} NOT NULL, reason TEXT NOT NULL, author TEXT NOT NULL,"
        " stored_at {whole} NOT NULL){strict}"
    )
    run("CREATE INDEX correction_of_interval ON correction (start, length)")
    run(
        "CREATE TABLE chain (gate {whole} NOT NULL PRIMARY KEY, entry TEXT NOT NULL, sealed TEXT NOT NULL,"
        " head TEXT NOT NULL, signature TEXT){strict}"
    )
    run(
        "CREATE TABLE status (meter TEXT NOT NULL PRIMARY KEY, received_at {whole} NOT NULL, online {whole} NOT NULL,"
        " body TEXT NOT NULL){by_key}"
    )
    for guard in guards(sqlite):
        op.execute(guard)
    if sqlite:
        run("PRAGMA user_version = 2")


def guards(sqlite: bool) -> list[str]:
    """The triggers of format 2; of format 1's on SQLite those of the tables that were not copied are there."""
    if sqlite:
        return [
            f"CREATE TRIGGER {table}_{verb}_refused BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for table in ("input", "correction", "gate", "chain")
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; "
        "END $$",
        *(
            f"CREATE TRIGGER {table}_change_refused BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            for table in APPEND_ONLY
        ),
    ]
