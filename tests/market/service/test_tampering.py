"""A record that was changed behind its back is noticed: every table, one field at a time."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from broker.contract import topic
from broker.keys import derive_key, master_key, sign
from firmware.host.community import community_document
from firmware.host.profile import Profile
from firmware.host.street import load_street, with_homes
from market.commands import main
from market.record import Record
from market.record.record import FILE_NAME
from market.service.gates import Gates
from market.service.ingest import Ingest, Message
from market.service.market import MASTER_KEY_FILE
from market.settlement.rules import split

FIRST_STEP, STEPS = 46, 6
"""From late morning: homes trade."""


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with some settled intervals, one of them revised because a reading came late."""
    store = tmp_path_factory.mktemp("settled")
    street = with_homes(load_street(), 12)
    since = street.start + FIRST_STEP * street.step_s
    document = community_document(street, "c")
    for member in document["members"]:
        member["meters"][0]["since"] = since
    record = Record(store)
    record.store_inputs(split(document), now=0)
    master = master_key(store / MASTER_KEY_FILE)
    ingest, gates = Ingest(record, master), Gates(record, grace_s=0.0)
    for step in range(STEPS):
        start = since + step * street.step_s
        messages = []
        for home in street.homes:
            profile = Profile(street.start, street.step_s, home.load_w, home.generation_w)
            counters = [
                (after - before) // 1000
                for after, before in zip(profile.counters_mwh(start + 900), profile.counters_mwh(since), strict=True)
            ]
            imported, exported, generated = counters
            body = {"v": 1, "kid": 1, "outbox": "0123456789abcdef", "seq": step, "first": 0, "start": start}
            body |= {"length": 900, "import_wh": imported, "export_wh": exported, "generation_wh": generated}
            body |= {"consumption_wh": imported + generated - exported, "flags": []}
            name = topic("c", home.meter, "reading")
            messages.append(
                Message(name, sign(derive_key(master, "c", home.meter, 1), name, json.dumps(body).encode()))
            )
        in_time, late = (messages[1:], messages[:1]) if step == 2 else (messages, [])
        ingest.store(in_time, now=start + 900, closed_before=gates.next_start)
        gates.tick(start + 900, 0.0)
        assert gates.due(0.0)
        gates.close_next()
        ingest.store(late, now=start + 900, closed_before=gates.next_start)
        assert len(list(gates.run_again())) == len(late)
    record.close()
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


FIELDS = [
    *[("reading", c) for c in ("start", "length", "import_wh", "export_wh", "generation_wh", "consumption_wh", "seq")],
    *[("gate", c) for c in ("number", "start", "length", "revision", "horizon")],
    ("transfer", "amount"),
    ("transfer", "gate"),
    ("result", "gate"),
]


@pytest.mark.parametrize(("table", "column"), FIELDS)
@pytest.mark.parametrize("which", ["first", "last"])
def test_a_changed_number_is_noticed(
    settled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, column: str, which: str
) -> None:
    key = {"reading": "arrival", "gate": "number", "transfer": "id", "result": "gate"}[table]
    end = "min" if which == "first" else "max"
    # A horizon that covers more than its interval's readings changes nothing that follows from it.
    by = "- 7" if column == "horizon" else "+ 7"
    copy = tmp_path / "copy"
    change(
        settled, copy, f"UPDATE {table} SET {column} = {column} {by} WHERE {key} = (SELECT {end}({key}) FROM {table})"
    )
    assert noticed_by(copy, capsys)


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
]


@pytest.mark.parametrize(("table", "column", "value"), TEXTS)
def test_a_changed_text_is_noticed(
    settled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, column: str, value: str
) -> None:
    copy = tmp_path / "copy"
    unique = {"reading": "arrival", "gate": "number", "transfer": "id", "result": "gate", "input": "kind"}[table]
    where = "" if table == "input" else f" WHERE {unique} = (SELECT max({unique}) FROM {table})"
    change(settled, copy, f"UPDATE {table} SET {column} = {value}{where}")
    assert noticed_by(copy, capsys)


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
]


@pytest.mark.parametrize("statements", ROWS, ids=lambda s: s[0][:50])
def test_a_row_more_or_less_is_noticed(
    settled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], statements: tuple[str, ...]
) -> None:
    copy = tmp_path / "copy"
    change(settled, copy, *statements)
    assert noticed_by(copy, capsys)


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
