"""A record that was changed behind its back is noticed: every table, one field at a time."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Integer, LargeBinary

from market.commands import main
from market.record import Record, schema
from market.record.record import FILE_NAME
from market.service.audit import audit
from market.service.chain import HEADS_FILE
from market.service.replay import DifferenceError
from tests.market.settled import settle_street


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with some settled intervals, some of them revised, and rows in every table."""
    store = tmp_path_factory.mktemp("settled")
    settle_street(store, eventful=True)
    return store


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
    db = sqlite3.connect(copy / FILE_NAME)
    for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        assert db.execute(statement).rowcount > 0, statement
    db.commit()
    db.close()


def test_the_untouched_record_passes(settled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert noticed_by(settled, capsys) == set()


COLUMNS = [
    (table.name, column.name)
    for table in schema.metadata.sorted_tables
    for column in table.columns
    # Nothing is settled by what meters say of their health, and nothing seals it.
    if table.name not in ("alembic_version", "status")
]


@pytest.mark.parametrize(("table", "column", "end"), [(*c, ("ASC", "DESC")[i % 2]) for i, c in enumerate(COLUMNS)])
def test_any_changed_column_is_noticed(settled: Path, tmp_path: Path, table: str, column: str, end: str) -> None:
    """Every column of every table, by turns in the table's first and last row."""
    described = schema.metadata.tables[table]
    kind, keys = described.columns[column].type, [column.name for column in described.primary_key]
    key = ", ".join(keys)
    if isinstance(kind, Integer):
        # Counts of what is kept nowhere can be raised unnoticed, never lowered.
        by = {"count": "- 1", "advanced": "+ 1000"}.get(column, "+ 1")
        value = f"{column} {'+ 1000003' if column in (*keys, 'number') else by}"
    else:
        value = f"CAST({column} || 'x' AS {'BLOB' if isinstance(kind, LargeBinary) else 'TEXT'})"
    copy = tmp_path / "copy"
    order = ", ".join(f"{name} {end}" for name in keys)
    row = f"SELECT {key} FROM {table} ORDER BY {order} LIMIT 1"
    change(settled, copy, f"UPDATE {table} SET {column} = {value} WHERE ({key}) = ({row})")
    assert said_by_audit(copy)


def said_by_audit(store: Path) -> str:
    """The first difference that the audit finds, if any."""
    record = Record(store, read_only=True)
    try:
        audit(record, store, lambda done, total: None)
    except DifferenceError as difference:
        return str(difference)
    except Exception as damage:
        return repr(damage)
    finally:
        record.close()
    return ""


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
    ("chain", "head", "lower(hex(zeroblob(32)))"),
    ("chain", "signature", "NULL"),
    ("chain", "signature", "(SELECT signature FROM chain WHERE gate = 1)"),
    ("chain", "entry", "replace(entry, '\"accounts\":', '\"accounts\":1')"),
    ("chain", "sealed", "replace(sealed, '\"stored\":', '\"stored\":1')"),
    ("quarantine", "payload", "x'7b7d'"),
    ("correction", "reason", "'as the operator likes it'"),
]


@pytest.mark.parametrize(("table", "column", "value"), TEXTS)
def test_a_changed_text_is_noticed(settled: Path, tmp_path: Path, table: str, column: str, value: str) -> None:
    copy = tmp_path / "copy"
    unique = {"reading": "arrival", "quarantine": "arrival", "correction": "number", "gate": "number"}.get(
        table, "gate"
    )
    unique = {"transfer": "id", "input": "kind"}.get(table, unique)
    where = "" if table == "input" else f" WHERE {unique} = (SELECT max({unique}) FROM {table})"
    change(settled, copy, f"UPDATE {table} SET {column} = {value}{where}")
    assert said_by_audit(copy)


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
def test_a_row_more_or_less_is_noticed(settled: Path, tmp_path: Path, statements: tuple[str, ...]) -> None:
    copy = tmp_path / "copy"
    change(settled, copy, *statements)
    assert said_by_audit(copy)


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
