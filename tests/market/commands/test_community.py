"""``pumasi community``: what is stored, what changes, and from when; bad input stores nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from market.commands import main
from market.commands.community import differences, read_community
from market.record import Record
from tests.market.record.killed import document

CHANGED = 1_467_335_700


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "community.json"


@pytest.fixture
def begun(store: Path) -> Path:
    """A store with a community and one settled interval, of just now."""
    record = Record(store)
    record.store_document(document(), now=0, author="first")
    with record.transaction():
        start = int(time.time()) // 900 * 900 - 900
        record.close_gate(start, 900, now=start + 900, versions={}, horizon=0, inputs=record.input_versions(start))
    record.close()
    return store


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["community", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_what_is_shown_can_be_edited_and_applied(begun: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = run(capsys, "show", "--store", str(begun))
    assert status == 0
    file.write_text(shown)
    status, said, _ = run(capsys, "apply", str(file), "--store", str(begun))
    assert (status, said) == (0, f"{file}: nothing differs from what is stored\n")
    edited = json.loads(shown)
    edited["tariffs"]["night"] = {"retail_per_kwh": "0.20", "feed_in_per_kwh": "0.08"}
    edited["members"][1] |= {"tariff": "night", "offer": {"max_buy_per_kwh": "0.15", "min_sell_per_kwh": None}}
    file.write_text(json.dumps(edited))
    before = int(time.time())
    status, said, _ = run(capsys, "apply", str(file), "--store", str(begun), "--author", "anna")
    assert status == 0
    *lines, last, _ = said.splitlines()
    assert set(lines) == {
        "tariffs night: new",
        "members h2 tariff: standard -> night",
        "members h2 offer max_buy_per_kwh: null -> 0.15",
    }
    assert last.startswith("stored; applies to intervals from ") and "Europe/Berlin" in last
    record = Record(begun, read_only=True)
    newest = record.input_history()[-1]
    assert newest.author == "anna" and before <= newest.stored_at
    record.close()
    status, said, _ = run(capsys, "history", "--store", str(begun))
    assert status == 0 and said.count("from the beginning, stored by first\n") == 5
    assert said.count("stored by anna\n") == 3


def test_a_file_that_was_taken_from_an_older_version_rolls_nothing_back(
    begun: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, shown, _ = run(capsys, "show", "--store", str(begun))
    first, second = json.loads(shown), json.loads(shown)
    assert first["version"] == 5
    first["tariffs"]["standard"]["retail_per_kwh"] = "0.31"
    file.write_text(json.dumps(first))
    status, said, _ = run(capsys, "apply", str(file), "--store", str(begun))
    assert status == 0
    assert said.endswith("before the next change take pumasi community show again: this is version 6\n")
    second["members"][0]["name"] = "Anna"
    for stale in (first, second, {**second, "version": 7}):
        file.write_text(json.dumps(stale))
        status, out, said = run(capsys, "apply", str(file), "--store", str(begun))
        assert (status, out) == (2, "")
        assert said == (
            f"pumasi: {file}: it was taken from version {stale['version']}, the newest is 6 (pumasi community history):"
            " take pumasi community show again and change that\n"
        )
    record = Record(begun, read_only=True)
    assert record.document()["tariffs"]["standard"]["retail_per_kwh"] == "0.31"
    assert "version" not in record.document()
    record.close()
    # Without its version a file says that it is the whole truth, as one that was written by hand.
    file.write_text(json.dumps({name: value for name, value in second.items() if name != "version"}))
    status, said, _ = run(capsys, "apply", str(file), "--store", str(begun))
    assert status == 0 and "tariffs standard retail_per_kwh: 0.31 -> 0.30" in said
    file.write_text(json.dumps({**second, "version": "6"}))
    status, _, said = run(capsys, "apply", str(file), "--store", str(begun))
    assert status == 2 and "version: '6' is no version's number: leave it as show printed it" in said


def test_a_shown_file_may_begin_another_store(begun: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, shown, _ = run(capsys, "show", "--store", str(begun))
    file.write_text(shown)
    assert read_community(file)["community"]["currency"] == "EUR"


def test_a_moment_in_the_past_is_shown_as_it_was(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = Record(store)
    record.store_document(document(), now=0, author="a")
    record.store_document(document("0.32"), now=CHANGED, author="a")
    record.close()
    prices = []
    for local in ("2016-07-01T03:14", "2016-07-01T03:15", "2016-07-01T03:15+05:00"):
        status, said, _ = run(capsys, "show", "--store", str(store), "--at", local)
        shown = json.loads(said)
        prices.append((shown["version"], shown["tariffs"]["standard"]["retail_per_kwh"]))
    assert prices == [(5, "0.30"), (6, "0.32"), (5, "0.30")]
    status, _, said = run(capsys, "show", "--store", str(store), "--at", "noon")
    assert (status, said) == (2, "pumasi: --at noon: not a time such as 2026-07-01T14:15\n")


def test_an_older_file_brings_no_old_key_back_and_takes_no_meter(
    store: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record(store)
    record.store_document(document(), now=0, author="a")
    old = record.document()
    rotated = record.document()
    rotated["members"][0]["meters"][0] |= {"kid": 2, "nonces": {"2": "5a" * 16}}
    rotated["members"][1]["meters"][0] |= {"meter": "m9"}
    record.store_document(rotated, now=9_000, author="a")
    record.close()
    file.write_text(json.dumps(old))
    for words, reason in (
        ([], "meter m9: is stored and not in the file"),
        (["--remove-meters"], "meter m1: kid 1, and 2 is stored"),
    ):
        status, out, said = run(capsys, "apply", str(file), "--store", str(store), *words)
        assert (status, out) == (2, "") and said.count("\n") == 1
        assert reason in said and "take pumasi community show again" in said
    old["members"][0] = rotated["members"][0]
    file.write_text(json.dumps(old))
    status, out, _ = run(capsys, "apply", str(file), "--store", str(store), "--remove-meters")
    assert status == 0 and "members h2 meters m9: gone\n" in out


BAD = [
    (None, "No such file"),
    ("{", "not JSON: "),
    ("[" * 100_000, "is nested too deeply"),
    (
        json.dumps(document() | {"members": [document()["members"][0] | {"name": "\ud800"}]}),
        "members: half a character",
    ),
    (json.dumps(document() | {"surprise": 1}), "surprise"),
    (json.dumps(document() | {"members": []}), "members"),
    (json.dumps(document() | {"currency": "EUR\n"}), "currency"),
    (
        json.dumps(document() | {"members": [document()["members"][0] | {"household": "h001\n"}]}),
        "$.members[0].household",
    ),
    (json.dumps(document() | {"currency": "KRW"}), "currency KRW: this store is for EUR; begin a new one"),
]


@pytest.mark.parametrize(("text", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_bad_input_is_one_line_and_stores_nothing(
    begun: Path, file: Path, capsys: pytest.CaptureFixture[str], text: str | None, reason: str
) -> None:
    if text is not None:
        file.write_text(text)
    status, out, said = run(capsys, "apply", str(file), "--store", str(begun))
    assert (status, out) == (2, "")
    assert said.count("\n") == 1 and reason in said
    record = Record(begun, read_only=True)
    assert record.inputs_version() == 5
    record.close()


def test_a_store_without_a_community_says_so(store: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(json.dumps(document()))
    for arguments in (["show"], ["history"], ["apply", str(file)]):
        status, _, said = run(capsys, *arguments, "--store", str(store))
        assert status == 2 and "there is no record here" in said and said.count("\n") == 1
    Record(store).close()
    status, _, said = run(capsys, "show", "--store", str(store))
    assert status == 2 and "no community has been stored here" in said


def test_nobody_reaches_back_on_a_real_clock(begun: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(json.dumps(document("0.32")))
    status, _, said = run(capsys, "apply", str(file), "--store", str(begun), "--simulated")
    assert status == 2 and "--simulated: this market's clock stood at" in said


def test_a_market_is_begun_with_a_file_and_changed_by_apply(
    begun: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old file at a restart must not undo what was changed since."""
    file.write_text(json.dumps(document("0.32")))
    status = main(["market", "run", "--store", str(begun), "--community", str(file), "--broker", "127.0.0.1:9"])
    said = capsys.readouterr().err
    assert status == 2 and f"{file}: is not what " in said and f"pumasi community apply {file}" in said


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"a": 1}, {"a": 2}, ["a: 1 -> 2"]),
        ({"a": {"b": "x"}}, {"a": {"b": "y", "c": None}}, ["a b: x -> y", "a c: new, null"]),
        ({"a": {"b": {}}}, {"a": {}}, ["a b: gone"]),
        ({"n": [{"node": "r"}, {"node": "s", "x": 1}]}, {"n": [{"node": "s", "x": 2}]}, ["n r: gone", "n s x: 1 -> 2"]),
        ({"l": [1, 2]}, {"l": [2, 1]}, ["l: [1, 2] -> [2, 1]"]),
        ({"l": []}, {"l": [{"household": "h"}]}, ["l h: new"]),
        ({"t": "x" * 99}, {"t": "y"}, [f"t: {'x' * 59}… -> y"]),
        ({"a": 1}, {"a": 1}, []),
    ],
)  # fmt: skip
def test_differences_are_told_by_name(before: Any, after: Any, lines: list[str]) -> None:
    assert list(differences(before, after)) == lines
