"""The record as tables: every row, exact, in both formats; one day; whole or not at all."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from broker.keys import master_key
from market.commands.main import main
from market.record import Record
from market.service import months
from market.service.gates import Gates
from market.service.market import MASTER_KEY_FILE
from market.service.tables import TABLES
from market.tariffs.amounts import money_text
from tests.market.billed import HOMES, MAY, STEPS, hear, settle_months


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("settled")
    settle_months(store)
    record = Record(store)
    months.close(record, MAY, 0)
    record.close()
    return store


def exported(store: Path, out: Path, what: str, *arguments: str) -> list[dict[str, str]]:
    path = out / f"{what}.csv"
    assert main(["export", "--store", str(store), "--what", what, "--out", str(path), *arguments]) == 0
    assert [one.name for one in out.iterdir()] == [path.name], "no part is left"
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        assert list(reader.fieldnames or ()) == [name for name, _ in TABLES[what].columns]
        return list(reader)


def test_transfers_add_up_to_the_bills(store: Path, tmp_path: Path) -> None:
    balance: dict[str, Decimal] = defaultdict(Decimal)
    for row in exported(store, tmp_path, "transfers", "--to", "2026-05-31"):
        balance[row["credit"]] += Decimal(row["amount"])
        balance[row["debit"]] -= Decimal(row["amount"])
    assert sum(balance.values()) == 0
    (tmp_path / "transfers.csv").unlink()
    due: dict[str, Decimal] = defaultdict(Decimal)
    for row in exported(store, tmp_path, "bills"):
        if row["section"] != "alone":
            due[row["household"]] += Decimal(row["amount"])
    record = Record(store, read_only=True)
    _, _, result = months.month_body(record, MAY)
    record.close()
    for bill in result["bills"]:
        home = bill["household"]
        assert due[home] == Decimal(money_text(bill["total"])) == -balance[f"household:{home}"]


def test_readings_and_positions_have_a_row_for_each_home_and_interval(store: Path, tmp_path: Path) -> None:
    readings = exported(store, tmp_path, "readings")
    assert len(readings) == STEPS * len(HOMES)
    assert readings[0] == {
        "meter": "m-kim", "start": "2026-05-01T00:00:00Z", "length_s": "86400", "import_wh": "6000", "export_wh": "0",
        "generation_wh": "0", "consumption_wh": "6000", "outbox": "0123456789abcdef", "seq": "0",
    }  # fmt: skip
    (tmp_path / "readings.csv").unlink()
    positions = exported(store, tmp_path, "positions")
    assert len(positions) == STEPS * len(HOMES)
    park = next(row for row in positions if row["household"] == "park")
    assert (park["sold_wh"], park["heard"], park["trade"]) == ("4000", "yes", "800")


def test_local_days_from_and_to_are_both_included(store: Path, tmp_path: Path) -> None:
    rows = exported(store, tmp_path, "positions", "--from", "2026-05-30", "--to", "2026-06-01")
    assert {row["start"][:10] for row in rows} == {"2026-05-30", "2026-05-31", "2026-06-01"}


def test_positions_and_bills_are_those_of_the_newest_revision(tmp_path: Path) -> None:
    """Park's eleventh day comes late; transfers of both revisions stay."""
    store, out = tmp_path / "store", tmp_path / "out"
    settle_months(store, late=frozenset({("park", 10)}))
    record = Record(store)
    months.close(record, MAY, 0)
    with record.transaction():
        hear(record, master_key(store / MASTER_KEY_FILE), "park", 10)
    assert len(list(Gates(record, 0.0).run_again())) == 2
    months.close(record, MAY, 0)
    record.close()
    out.mkdir()
    (position,) = (
        row
        for row in exported(store, out, "positions", "--from", "2026-05-11", "--to", "2026-05-11")
        if row["household"] == "park"
    )
    assert (position["revision"], position["heard"], position["export_wh"]) == ("1", "yes", "5000")
    (out / "positions.csv").unlink()
    assert {row["revision"] for row in exported(store, out, "bills")} == {"1"}
    (out / "bills.csv").unlink()
    assert {row["revision"] for row in exported(store, out, "transfers")} == {"0", "1"}


@pytest.mark.parametrize("what", TABLES)
def test_parquet_holds_the_same_with_types(store: Path, tmp_path: Path, what: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = exported(store, tmp_path, what)
    path = tmp_path / "table.parquet"
    assert main(["export", "--store", str(store), "--what", what, "--format", "parquet", "--out", str(path)]) == 0
    table = parquet.read_table(path)
    assert {str(table.schema.field(name).type) for name, kind in TABLES[what].columns if kind == "money"} <= {
        "decimal128(38, 8)"
    }
    rows = table.to_pylist()
    assert len(rows) == len(texts)
    kinds = dict(TABLES[what].columns)
    for row, text in zip(rows, texts, strict=True):
        for name, value in row.items():
            if value is None:
                assert text[name] == ""
            elif kinds[name] == "money":
                assert Decimal(text[name]) == value
            elif kinds[name] == "time":
                assert text[name] == value.strftime("%Y-%m-%dT%H:%M:%SZ")
            elif kinds[name] == "yes-no":
                assert text[name] == ("yes" if value else "no")
            else:
                assert text[name] == str(value)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--from", "2026-06-02", "--to", "2026-06-01"], "--to 2026-06-01 is before --from 2026-06-02"),
        (["--store", "nowhere"], "nowhere: there is no record here"),
        (["--out", "/dev/null/x.csv"], "/dev/null/x.csv: "),
        (["--out", "."], ".: is there already and is no ordinary file"),
        (["--out", "pipe"], "pipe: is there already and is no ordinary file"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    store: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    assert main(["export", "--store", str(store), *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and line in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"] and Path("pipe").is_fifo()


def test_a_link_goes_on_leading_to_what_is_written(store: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to("elsewhere.csv")
    assert main(["export", "--store", str(store), "--out", str(link)]) == 0
    assert link.is_symlink() and link.read_text() == (tmp_path / "elsewhere.csv").read_text() != ""


def test_the_last_day_of_the_calendar_is_a_day(store: Path, tmp_path: Path) -> None:
    assert exported(store, tmp_path / "a.csv", "transfers", "--to", "9999-12-31") == exported(
        store, tmp_path / "b.csv", "transfers"
    )
