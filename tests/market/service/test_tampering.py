"""A record that was changed behind its back is noticed: every table, one field at a time, in both databases."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Integer, LargeBinary, Table

from market.commands import main
from market.record import Record, schema
from market.record.place import URL_FILE
from market.record.record import FILE_NAME
from market.service.audit import audit
from market.service.chain import HEADS_FILE
from market.service.replay import DifferenceError
from tests.market.settled import settle_street
from tests.servers import PostgresqlServer

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with some settled intervals, some of them revised, and rows in every table."""
    store = tmp_path_factory.mktemp("settled")
    settle_street(store, eventful=True)
    return store


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, once with its record in SQLite and once in PostgreSQL."""
    store = tmp_path_factory.mktemp(f"settled-{request.param}")
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        (store / URL_FILE).write_text(server.new_database())
    settle_street(store, eventful=True)
    return store


@contextmanager
def opened(store: Path) -> Iterator[Any]:
    """A connection to the record by which even rows of append-only tables can be changed."""
    if (store / URL_FILE).exists():
        with psycopg.connect((store / URL_FILE).read_text().strip().replace("+psycopg", "")) as server:
            server.execute("SET session_replication_role = replica")
            yield server
        return
    file = sqlite3.connect(store / FILE_NAME)
    for (trigger,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        file.execute(f"DROP TRIGGER {trigger}")
    yield file
    file.commit()
    file.close()


def execute(store: Path, db: Any, statement: str) -> int:
    """How many rows the statement, as SQLite has it, changes."""
    if (store / URL_FILE).exists():
        statement = re.sub("x'([0-9a-f]*)'", r"'\\x\1'::bytea", statement)
    return int(db.execute(statement).rowcount)


def noticed(store: Path, *statements: str) -> str:
    """What the audit says of the record once it is changed, if anything; it is as it was afterwards."""
    with opened(store) as db:
        kept = {table.name: db.execute(f"SELECT * FROM {table.name}").fetchall() for table in TABLES}
        for statement in statements:
            assert execute(store, db, statement) > 0, statement
    try:
        return said_by_audit(store)
    finally:
        with opened(store) as db:
            for name, rows in kept.items():
                db.execute(f"DELETE FROM {name}")
                mark = "%s" if (store / URL_FILE).exists() else "?"
                marks = ", ".join(mark for _ in schema.metadata.tables[name].columns)
                db.cursor().executemany(f"INSERT INTO {name} VALUES ({marks})", rows)


def literal(value: object) -> str:
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return (
        "NULL"
        if value is None
        else str(value)
        if isinstance(value, int)
        else "'{}'".format(str(value).replace("'", "''"))
    )


def said_by_audit(store: Path) -> str:
    """The first difference that the audit finds, if any: anything else that it ran into would be no answer."""
    record = Record(store, read_only=True)
    try:
        audit(record, store, lambda done, total: None)
    except DifferenceError as difference:
        return str(difference)
    finally:
        record.close()
    return ""


def noticed_by(store: Path, capsys: pytest.CaptureFixture[str]) -> set[str]:
    found = set()
    for command in ("replay", "audit"):
        status = main([command, "--store", str(store)])
        said = capsys.readouterr().out
        assert status in (0, 1), said
        assert said.count("\n") >= 1
        if status == 1:
            found.add(command)
    return found


def change(store: Path, copy: Path, *statements: str) -> None:
    shutil.copytree(store, copy)
    with opened(copy) as db:
        for statement in statements:
            assert execute(copy, db, statement) > 0, statement


def test_the_untouched_record_passes(settled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert noticed_by(settled, capsys) == set()


TABLES = [
    table
    for table in schema.metadata.sorted_tables
    # Nothing is settled by what meters say of their health, and nothing seals it; the format is no row of the record's.
    if table.name not in ("alembic_version", "status")
]
COLUMNS = [(table.name, column.name) for table in TABLES for column in table.columns]


def test_the_page_shows_every_table_and_column_that_is_changed_here() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+` ?)+) \|", (ROOT / "docs/proofs.md").read_text(), re.MULTILINE)
    assert [(table, column) for table, columns in rows for column in re.findall(r"\w+", columns)] == COLUMNS


@pytest.mark.parametrize(("table", "column", "end"), [(*c, ("ASC", "DESC")[i % 2]) for i, c in enumerate(COLUMNS)])
def test_any_changed_column_is_noticed(either: Path, table: str, column: str, end: str) -> None:
    """Every column of every table, by turns in the table's first and last row."""
    described = schema.metadata.tables[table]
    kind, keys = described.columns[column].type, keys_of(described)
    key = ", ".join(keys)
    if isinstance(kind, Integer):
        # Counts of what is kept nowhere can be raised unnoticed, never lowered.
        by = {"count": "- 1", "advanced": "+ 1000"}.get(column, "+ 1")
        value = f"{column} {'+ 1000003' if column in (*keys, 'number') else by}"
    else:
        value = "x'7b7d'" if isinstance(kind, LargeBinary) else f"{column} || 'x'"
    order = ", ".join(f"{name} {end}" for name in keys)
    row = f"SELECT {key} FROM {table} ORDER BY {order} LIMIT 1"
    assert noticed(either, f"UPDATE {table} SET {column} = {value} WHERE ({key}) = ({row})")


def keys_of(table: Table) -> list[str]:
    return [column.name for column in table.primary_key]


def rows_of(store: Path, table: Table) -> list[dict[str, Any]]:
    """In the order of their key."""
    names = [column.name for column in table.columns]
    with opened(store) as db:
        rows = db.execute(
            f"SELECT {', '.join(names)} FROM {table.name} ORDER BY {', '.join(keys_of(table))}"
        ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]


def where(table: Table, row: dict[str, Any]) -> str:
    return " AND ".join(f"{name} = {literal(row[name])}" for name in keys_of(table))


def removed(table: Table, row: dict[str, Any]) -> str:
    return f"DELETE FROM {table.name} WHERE {where(table, row)}"


def added(table: Table, row: dict[str, Any]) -> str:
    return f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({', '.join(map(literal, row.values()))})"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))
def test_any_row_less_more_or_exchanged_is_noticed(either: Path, table: Table) -> None:
    rows, keys = rows_of(either, table), keys_of(table)
    first, last = rows[0], rows[-1]
    assert noticed(either, removed(table, first))
    assert noticed(either, removed(table, last))
    # A correction more waits to be settled, as any that a person enters; of a name that came never nothing is known.
    if table.name not in ("correction", "outcome"):
        others = {"start", "number", keys[-1]} & set(first)
        for row in (first, last):
            assert noticed(either, added(table, row | {name: another(row[name]) for name in others}))
    contents = [name for name in first if name not in keys]
    if first is not last and contents:
        crossed = [one | {name: other[name] for name in contents} for one, other in ((first, last), (last, first))]
        both = (removed(table, first), removed(table, last))
        assert noticed(either, *both, *(added(table, row) for row in crossed))


def another(value: Any) -> Any:
    return value + 1_000_003 if isinstance(value, int) else f"{value}x"


JSON_COLUMNS = [(table, column.name) for table in TABLES for column in table.columns if column.name in (
    "inputs", "versions", "body", "entry", "sealed", "payload"
)]  # fmt: skip


@pytest.mark.parametrize(("table", "column"), JSON_COLUMNS, ids=str)
def test_any_changed_member_of_a_text_is_noticed(settled: Path, table: Table, column: str) -> None:
    """What is still JSON, and of the right shape for most: every member of the newest row's (of inputs, of each)."""
    rows = [row for row in rows_of(settled, table) if is_json(row[column])]
    count = 0
    for row in rows if table.name == "input" else rows[-1:]:
        for changed in members_changed(json.loads(row[column])):
            text = json.dumps(changed, separators=(",", ":"))
            value = text.encode() if isinstance(row[column], bytes) else text
            statement = f"UPDATE {table.name} SET {column} = {literal(value)} WHERE {where(table, row)}"
            assert noticed(settled, statement), text[:200]
            count += 1
    assert count > 2


def is_json(text: str | bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def members_changed(body: Any) -> Iterator[Any]:
    """The body with one leaf changed, for each of its members; of lists for the first and the last."""
    if isinstance(body, dict):
        yield from ({**body, name: turned(member)} for name, member in body.items())
    else:
        yield [turned(body[0]), *body[1:]]
        yield [*body[:-1], turned(body[-1])]


def turned(value: Any) -> Any:
    if isinstance(value, dict):
        name = next(iter(value), "more")
        return {**value, name: turned(value.get(name))}
    if isinstance(value, list):
        return [*value[:-1], turned(value[-1])] if value else [0]
    if isinstance(value, bool):
        return not value
    return 0 if value is None else value + 1 if isinstance(value, int) else f"{value}x"


TEXTS = [
    ("reading", "meter", "'nobody'"),
    ("reading", "outbox", "'ffffffffffffffff'"),
    ("reading", "payload", "x'7b7d'"),
    ("transfer", "id", "'0123'"),
    ("transfer", "debit", "'supplier'"),
    ("transfer", "credit", "'supplier'"),
    ("transfer", "reason", "'gift'"),
    ("gate", "inputs", "replace(inputs, ':1', ':2')"),
    ("result", "body", "replace(body, '\"accepted_wh\":', '\"accepted_wh\": 1')"),
    ("result", "body", "replace(body, '\"welfare\":', '\"welfare\":1')"),
    ("result", "body", "replace(body, '\"price_ticks\":19000', '\"price_ticks\":19001')"),
    ("result", "body", 'replace(body, \'"seller":\', \'"seller":"x","was":\')'),
    ("result", "body", "replace(body, 'mid-market', 'mid-morning')"),
    ("result", "body", "'{}'"),
    ("result", "body", "'[]'"),
    ("result", "body", 'replace(body, \'"accepted_wh":\', \'"accepted_wh":null,"was":\')'),
    ("result", "body", "replace(body, '\"accepted_wh\":', '\"accepted_wh\":9999999999999999999')"),
    ("result", "body", "'not json'"),
    ("input", "body", "replace(body, '0.3', '0.2')"),
    ("input", "body", "replace(body, '0.08', '0.09')"),
    ("input", "body", 'replace(body, \'"fee_per_kwh":"0.01"\', \'"fee_per_kwh":"0.02"\')'),
    ("input", "version", "version + 1"),
    ("gate", "versions", 'replace(versions, \'"engine":"\', \'"engine":"9.\')'),
    ("gate", "state", "'final'"),
    ("chain", "head", f"'{'00' * 32}'"),
    ("chain", "signature", "NULL"),
    ("chain", "signature", "(SELECT signature FROM chain WHERE gate = 1)"),
    ("chain", "entry", "replace(entry, '\"accounts\":', '\"accounts\":1')"),
    ("chain", "sealed", "replace(sealed, '\"stored\":', '\"stored\":1')"),
    ("quarantine", "payload", "x'7b7d'"),
    ("correction", "reason", "'as the operator likes it'"),
]


@pytest.mark.parametrize(("table", "column", "value"), TEXTS)
def test_a_changed_text_is_noticed(settled: Path, table: str, column: str, value: str) -> None:
    unique = {"reading": "arrival", "quarantine": "arrival", "correction": "number", "gate": "number"}.get(
        table, "gate"
    )
    unique = {"transfer": "id", "input": "kind"}.get(table, unique)
    where = "" if table == "input" else f" WHERE {unique} = (SELECT max({unique}) FROM {table})"
    assert noticed(settled, f"UPDATE {table} SET {column} = {value}{where}")


ROWS = [
    ("DELETE FROM transfer WHERE id = (SELECT min(id) FROM transfer)",),
    ("DELETE FROM reading WHERE arrival = 20",),
    ("DELETE FROM result WHERE gate = 2",),
    ("DELETE FROM transfer", "DELETE FROM result", "DELETE FROM gate"),
    *[
        tuple(
            f"DELETE FROM {table} WHERE {column} = {n}"
            for table, column in (("transfer", "gate"), ("result", "gate"), ("gate", "number"))
        )
        for n in (1, 3)
    ],
    ("INSERT INTO transfer SELECT 'forged', gate, credit, debit, amount, reason FROM transfer LIMIT 1",),
    ("INSERT INTO transfer SELECT 'forged', 99, credit, debit, amount, reason FROM transfer LIMIT 1",),
    ("INSERT INTO result VALUES (99, '{}')",),
    ("DELETE FROM chain WHERE gate = (SELECT max(gate) FROM chain)",),
    ("DELETE FROM chain",),
    ("INSERT INTO chain SELECT 99, entry, sealed, head, signature FROM chain WHERE gate = 1",),
    ("DELETE FROM quarantine WHERE arrival = 1",),
    ("DELETE FROM correction",),
    ("DELETE FROM outbox WHERE meter = 'm001'",),
    ("DELETE FROM held",),
    ("INSERT INTO held SELECT meter, outbox, 99 FROM held",),
    ("INSERT INTO outbox SELECT 'm099', outbox, next, advanced FROM outbox WHERE meter = 'm001'",),
    ("DELETE FROM outcome WHERE name = 'duplicate'",),
    ("UPDATE outcome SET count = count + 1 WHERE name = 'late'",),
]


@pytest.mark.parametrize("statements", ROWS, ids=lambda s: s[0][:50])
def test_a_row_more_or_less_is_noticed(settled: Path, statements: tuple[str, ...]) -> None:
    assert noticed(settled, *statements)


def test_energy_given_to_another_equal_order_is_noticed_by_the_audit(
    settled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Among equal offers the tie rule decides who earns: an operator cannot prefer a friend."""
    copy = tmp_path / "copy"
    db = sqlite3.connect(settled / FILE_NAME)
    gate, body = db.execute("SELECT gate, body FROM result ORDER BY gate LIMIT 1").fetchone()
    db.close()
    result = json.loads(body)
    sellers = [row for row in result["orders"] if row["side"] == "sell" and 0 < row["accepted_wh"] < row["energy_wh"]]
    sellers[0]["accepted_wh"] -= 1
    sellers[1]["accepted_wh"] += 1
    text = json.dumps(result, separators=(",", ":")).replace("'", "''")
    change(settled, copy, f"UPDATE result SET body = '{text}' WHERE gate = {gate}")
    assert noticed_by(copy, capsys) == {"replay", "audit"}


def cut_off(store: Path, copy: Path) -> None:
    """As if the last closure had never been: nothing in the copy points to it, the file of heads does not either."""
    change(
        store,
        copy,
        *(
            f"DELETE FROM {table} WHERE {column} = (SELECT max(number) FROM gate)"
            for table, column in (("transfer", "gate"), ("result", "gate"), ("chain", "gate"), ("gate", "number"))
        ),
    )
    heads = (copy / HEADS_FILE).read_text().splitlines(keepends=True)
    (copy / HEADS_FILE).write_text("".join(heads[:-1]))


def test_a_record_cut_off_at_its_end_is_noticed_by_a_published_head(
    settled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    cut_off(settled, copy)
    assert noticed_by(copy, capsys) == set(), "by itself it is in order"
    assert main(["audit", "--store", str(copy), "--heads", str(settled / HEADS_FILE)]) == 1
    assert "head 9 was published, the record ends with 8" in capsys.readouterr().out


def test_a_record_rewritten_as_a_whole_is_noticed_by_a_published_head(
    settled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every key of the operator's, from the first closure on, without the messages that were unwelcome."""
    for name in ("master.key", "proof.secret", "chain.key"):
        shutil.copy2(settled / name, tmp_path / name)
    settle_street(tmp_path)
    assert noticed_by(tmp_path, capsys) == set(), "by itself it is in order"
    assert (tmp_path / "chain.pub").read_text() == (settled / "chain.pub").read_text()
    assert main(["audit", "--store", str(tmp_path), "--heads", str(settled / HEADS_FILE)]) == 1
    assert "audit: head 2 was published as" in capsys.readouterr().out


def test_heads_signed_by_another_key_are_noticed(settled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--store", str(settled), "--public-key", "ab" * 32]) == 1
    assert "closure 1: the signature on its head is not good" in capsys.readouterr().out


def test_an_audit_without_the_secret_says_what_it_could_not_see(
    settled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Destroying the secret erases: heads and rules are checked on, contents are tied to no head any more."""
    copy = tmp_path / "copy"
    shutil.copytree(settled, copy)
    (copy / "proof.secret").unlink()
    assert main(["audit", "--store", str(copy)]) == 0
    assert "the contents of 9 are not tied to their heads" in capsys.readouterr().out
    change(copy, tmp_path / "changed", "UPDATE chain SET head = lower(hex(zeroblob(32))) WHERE gate = 4")
    assert main(["audit", "--store", str(tmp_path / "changed")]) == 1
    change(copy, tmp_path / "other", "UPDATE reading SET payload = x'7b7d' WHERE arrival = 4")
    assert main(["audit", "--store", str(tmp_path / "other")]) == 1
