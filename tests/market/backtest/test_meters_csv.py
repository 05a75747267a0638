"""A community's own meters: what is read, and the one line that names what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.backtest.meters_csv import read_meters
from market.files import InputError

FOUR = "time,household,node,import_wh,export_wh,generation_wh,consumption_wh\n"
NET = "time,household,load_wh,generation_wh\n"
GROSS = "time,household,import_wh,export_wh\n"
GOOD = NET + "0,a,100,0\n0,b,0,50\n900,a,100,0\n900,b,0,50\n"


def file(folder: Path, text: str) -> Path:
    path = folder / "meters.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_four_registers(tmp_path: Path) -> None:
    rows = "2026-01-01T00:00:00Z,a,n1,70,0,30,100\n2026-01-01T01:15:00+01:00,a,n1,0,20,50,30\n"
    found = read_meters(file(tmp_path, FOUR + rows))
    meters = found.meters
    assert (meters.households, meters.nodes, meters.start, meters.length_s) == (("a",), ("n1",), 1_767_225_600, 900)
    assert meters.import_wh.tolist() == [[70], [0]]
    assert meters.export_wh.tolist() == [[0], [20]]
    assert meters.consumption_wh.tolist() == [[100], [30]]
    assert (found.located, found.generation_known, found.first_row) == (True, True, {"a": 2})


def test_load_and_generation_in_any_order(tmp_path: Path) -> None:
    meters = read_meters(file(tmp_path, NET + "900,b,0,50\n0,a,100,30\n\n900,a,10,0\n0,b,0,0\n")).meters
    assert meters.households == ("a", "b")
    assert meters.import_wh.tolist() == [[70, 0], [10, 0]]
    assert meters.export_wh.tolist() == [[0, 0], [0, 50]]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(9)))
def test_the_order_of_rows_does_not_matter(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    lines = [f"{900 * at},{home},{at},{place}\n" for at in range(3) for place, home in enumerate("cab")]
    path = file(tmp_path_factory.getbasetemp(), NET + "".join(lines[at] for at in order))
    meters = read_meters(path).meters
    assert meters.households == ("a", "b", "c")
    assert meters.consumption_wh.tolist() == [[at] * 3 for at in range(3)]
    assert meters.generation_wh.tolist() == [[1, 2, 0]] * 3


@pytest.mark.parametrize(
    ("column", "value", "generation", "known"),
    [("", "", 20, False), (",generation_wh", ",45", 45, True), (",consumption_wh", ",25", 45, True)],
)
def test_what_is_missing_follows(tmp_path: Path, column: str, value: str, generation: int, known: bool) -> None:
    head = f"time,household,import_wh,export_wh{column}\n"
    found = read_meters(file(tmp_path, head + f"0,a,0,20{value}\n3600,a,0,20{value}\n"))
    assert found.meters.generation_wh.tolist() == [[generation]] * 2
    assert found.generation_known is known


BAD = [
    ("time,household,import_wh\n", "meters.csv, row 1, column export_wh: the column is missing"),
    ("time,household,load_wh\n", "meters.csv, row 1, column generation_wh: the column is missing"),
    ("time,household,load_wh,generation_wh,x\n", "row 1, column 'x': unknown column"),
    ("time,household,load_wh,load_wh,generation_wh\n", "row 1, column load_wh: the column is there twice"),
    (NET[:-1] + ",import_wh\n", "row 1, column import_wh: cannot stand beside load_wh"),
    ("", "row 1, column time: the column is missing"),
    (NET, "meters.csv: no rows"),
    (NET + "0,a,1\n", "row 2: 3 values, the header has 4 columns"),
    (NET + "0,a,1,0\n900,a,nan,0\n", "row 3, column load_wh: 'nan' is a gap"),
    (NET + "0,a,1,0\n900,a,,0\n", "row 3, column load_wh: must not be empty"),
    (NET + "0,a,1.5,0\n", "row 2, column load_wh: '1.5' is not whole Wh"),
    (NET + "0,a,1,-3\n", "row 2, column generation_wh: '-3' is negative"),
    (NET + "0,a,1,1_000\n", "row 2, column generation_wh: '1_000' is not whole Wh"),
    (NET + "0,a,1,٣\n", "row 2, column generation_wh: '٣' is not whole Wh"),
    (NET + "0,a,2147483648,0\n", "row 2, column load_wh: '2147483648' must be below 2147483648 Wh"),
    (NET + f"0,a,{'9' * 5000},0\n", "row 2, column load_wh: '9999"),
    (NET + "2026-01-01T00:00,a,1,0\n", "row 2, column time: '2026-01-01T00:00' names no time zone"),
    (NET + "yesterday,a,1,0\n", "row 2, column time: 'yesterday' is neither ISO 8601 nor epoch seconds"),
    (NET + "0,,1,0\n", "row 2, column household: must not be empty"),
    (NET + "0,a,1,0\n", "column time: one interval only"),
    (GOOD + "0,b,1,0\n", "row 6, column time: 'b' has 1970-01-01T00:00:00Z twice, first in row 3"),
    (
        NET + "0,a,1,0\n900,a,1,0\n2700,a,1,0\n3600,a,1,0\n",
        "row 4, column time: no household has a row between 1970-01-01T00:15:00Z and 1970-01-01T00:45:00Z",
    ),
    (
        NET + "0,a,1,0\n900,a,1,0\n1800,a,1,0\n0,b,1,0\n1800,b,1,0\n",
        "row 6, column time: a gap: 'b' has no row for 1970-01-01T00:15:00Z",
    ),
    (
        NET + "0,a,1,0\n900,a,1,0\n1800,a,1,0\n0,b,1,0\n900,b,1,0\n",
        "row 6, column time: a gap: 'b' has no row for 1970-01-01T00:30:00Z",
    ),
    (
        NET + "0,a,1,0\n900,a,1,0\n1800,a,1,0\n2100,a,1,0\n",
        "row 5, column time: 300 s after 1970-01-01T00:30:00Z, where others follow after 900 s: mixed lengths",
    ),
    (NET + "0,a,1,0\n700,a,1,0\n", "column time: intervals of 700 s do not divide the day"),
    (NET + "60,a,1,0\n960,a,1,0\n", "row 2, column time: 1970-01-01T00:01:00Z is not a multiple of 900 s"),
    (FOUR + "0,a,n1,1,0,0,1\n900,a,n2,1,0,0,1\n", "row 3, column node: 'a' was at 'n1' before"),
    (FOUR + "0,a,n,70,0,30,100\n900,a,n,70,0,30,90\n", "row 3, column consumption_wh: 90 Wh, but import + generation"),
    (FOUR + "0,a,n,0,0,0,0\n900,a,n,10,50,30,0\n", "row 3, column consumption_wh: does not balance"),
    (NET + '0,"a,1,0\n', "not CSV"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), BAD)
def test_bad_input_is_one_line_with_the_place(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        read_meters(file(tmp_path, text))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_registers_may_round_each_by_itself(tmp_path: Path) -> None:
    meters = read_meters(file(tmp_path, FOUR + "0,a,n,70,0,30,98\n900,a,n,70,0,30,101\n")).meters
    assert meters.consumption_wh.tolist() == [[100], [100]]


def test_not_text_and_not_there(tmp_path: Path) -> None:
    path = tmp_path / "meters.csv"
    path.write_bytes(NET.encode() + b"0,\xff,1,0\n")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_meters(path)
    with pytest.raises(InputError, match=r"none.csv: No such file"):
        read_meters(tmp_path / "none.csv")


cell = st.sampled_from(["0", "900", "1800", "a", "b", "5", "nan", "", "-1", "2026-01-01T00:00Z", '"', "\x00", "1e9"])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([NET, GROSS, FOUR]), st.lists(st.lists(cell, min_size=1, max_size=7), max_size=6))
def test_any_text_is_read_or_named(tmp_path_factory: pytest.TempPathFactory, head: str, rows: list[list[str]]) -> None:
    text = head + "".join(",".join(row) + "\n" for row in rows)
    try:
        meters = read_meters(file(tmp_path_factory.getbasetemp(), text)).meters
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert (meters.consumption_wh + meters.export_wh == meters.import_wh + meters.generation_wh).all()
