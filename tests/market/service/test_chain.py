"""The chain beside the record: written with each closure, signed, kept in a file, found again after a crash."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.keys import KeyFileError
from market.record import Record
from market.service.audit import audit
from market.service.chain import HEADS_FILE, Chain, read_heads
from market.service.chain_keys import chain_keys
from market.service.gates import Gates
from market.service.replay import DifferenceError
from tests.market.service.test_gates import BODIES, INTERVALS, SINCE, add, close_all, week
from tests.market.settled import settle_street


def quiet(done: int, total: int) -> None:
    pass


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    record = Record(tmp_path)
    record.store_inputs(BODIES, now=0)
    yield record
    record.close()


def settle(record: Record, chain: Chain | None) -> None:
    gates = Gates(record, grace_s=0.0, chain=chain)
    add(record, gates, week(5))
    gates.tick(SINCE + 900 * INTERVALS, 0.0)
    assert len(close_all(gates, 0.0)) == INTERVALS


def test_keys_are_drawn_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    keys = chain_keys(tmp_path)
    assert chain_keys(tmp_path) == keys
    for name in ("proof.secret", "chain.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert (tmp_path / "chain.pub").read_text() == f"{keys.public_key}\n"
    assert len({keys.secret, keys.seed}) == 2


@pytest.mark.parametrize("name", ["proof.secret", "chain.key"])
def test_a_key_that_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    chain_keys(tmp_path)
    (tmp_path / name).chmod(0o644)
    with pytest.raises(KeyFileError, match=f"{name}: others can read it"):
        chain_keys(tmp_path)
    (tmp_path / name).chmod(0o600)
    (tmp_path / name).write_text("no key")
    with pytest.raises(KeyFileError, match=f"{name}: it does not hold 64"):
        chain_keys(tmp_path)


def test_a_closure_that_comes_to_nothing_leaves_no_link(record: Record, tmp_path: Path) -> None:
    chain = Chain(record, tmp_path)
    settle(record, chain)
    before = list(record.chain_rows())
    gate = next(record.gates())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no room"), record.transaction():
            again = record.close_gate(gate.start, gate.length, now=0, versions={}, horizon=1, inputs=gate.inputs)
            record.add_result(again, record.result(gate.number))
            chain.add(again)
            raise RuntimeError("no room")
    assert list(record.chain_rows()) == before
    with record.transaction():
        again = record.close_gate(gate.start, gate.length, now=0, versions={}, horizon=1, inputs=gate.inputs)
        record.add_result(again, record.result(gate.number))
        chain.add(again)
    assert [row.gate for row in record.chain_rows()] == list(range(1, INTERVALS + 2))


def test_a_record_of_before_the_chain_is_chained_when_the_market_starts(record: Record, tmp_path: Path) -> None:
    settle(record, None)
    said: list[str] = []
    Chain(record, tmp_path).catch_up(said.append)
    assert said == [f"{INTERVALS} gate closures of an older version are chained now"]
    assert [row["number"] for row in read_heads(tmp_path / HEADS_FILE)] == list(range(1, INTERVALS + 1))
    rows = list(record.chain_rows())
    said.clear()
    Chain(record, tmp_path).catch_up(said.append)
    assert (said, list(record.chain_rows())) == ([], rows)


def test_the_chain_is_the_same_whether_it_was_caught_up_or_written_at_once(tmp_path: Path) -> None:
    settle_street(tmp_path / "one", steps=2)
    for name in ("master.key", "proof.secret", "chain.key"):
        (tmp_path / "two").mkdir(exist_ok=True)
        shutil.copy2(tmp_path / "one" / name, tmp_path / "two" / name)
    settle_street(tmp_path / "two", steps=2)
    assert (tmp_path / "one" / HEADS_FILE).read_bytes() == (tmp_path / "two" / HEADS_FILE).read_bytes()


@pytest.mark.parametrize("cut", [1, 100, 400])
def test_a_line_that_a_crash_cut_is_written_again(record: Record, tmp_path: Path, cut: int) -> None:
    chain = Chain(record, tmp_path)
    settle(record, chain)
    chain.write_heads()
    path = tmp_path / HEADS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    chain.write_heads()
    assert path.read_bytes() == whole
    chain.write_heads()
    assert path.read_bytes() == whole, "nothing twice"


def test_a_crash_before_the_file_was_written_loses_no_head(record: Record, tmp_path: Path) -> None:
    settle(record, Chain(record, tmp_path))
    assert not (tmp_path / HEADS_FILE).exists()
    Chain(record, tmp_path).catch_up(lambda text: None)
    assert [row["head"] for row in read_heads(tmp_path / HEADS_FILE)] == [row.head for row in record.chain_rows()]


def test_a_market_says_that_its_record_ends_before_a_published_head(tmp_path: Path) -> None:
    settle_street(tmp_path / "now", steps=3)
    settle_street(tmp_path / "then", steps=2)
    shutil.copy2(tmp_path / "now" / HEADS_FILE, tmp_path / "then" / HEADS_FILE)
    record = Record(tmp_path / "then")
    said: list[str] = []
    Chain(record, tmp_path / "then").catch_up(said.append)
    assert said == ["a head was published that the record has not reached: is it an old copy? See pumasi audit"]
    with pytest.raises(DifferenceError):
        audit(record, tmp_path / "then", quiet)
    record.close()


NO_HEADS = [
    *("", "no json", "{}", "[]", "null", '{"number": "1", "head": "ab"}', '{"number": 1, "head": "ab"}'),
    f'{{"number": true, "head": "{"ab" * 32}"}}',
    f'{{"number": 1, "head": "{"AB" * 32}"}}',
    f'{{"number": 1, "head": "{"ab" * 32}", "revision": "0"}}',
    f'{{"number": 1, "head": "{"ab" * 32}", "more": {"[" * 100_000}',
]


@pytest.mark.parametrize("line", NO_HEADS, ids=range(len(NO_HEADS)))
def test_what_is_no_file_of_heads_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / HEADS_FILE
    path.write_text(json.dumps({"number": 1, "head": "ab" * 32}) + f"\n{line}\n")
    with pytest.raises(ValueError, match="line 2 is not a published head"):
        list(read_heads(path))


def test_a_secret_that_was_destroyed_is_followed_by_another(tmp_path: Path) -> None:
    """What was settled under it can no longer be proven to anybody; what follows can."""
    settle_street(tmp_path, steps=2)
    (tmp_path / "proof.secret").unlink()
    record = Record(tmp_path)
    chain = Chain(record, tmp_path)
    newest = record.last_gate()
    assert newest is not None
    gates = Gates(record, grace_s=0.0, chain=chain)
    gates.tick(newest.start + 1800, 0.0)
    close_all(gates, 0.0)
    chain.write_heads()
    done = audit(record, tmp_path, quiet).chain
    assert done is not None
    assert (done.closures, done.tied) == (3, 1)
    record.close()


def test_another_stores_key_does_not_go_on_with_a_chain(tmp_path: Path) -> None:
    """As when a second store is begun on the first one's database, while no market runs."""
    settle_street(tmp_path, steps=2)
    key = (tmp_path / "chain.key").read_text()
    (tmp_path / "chain.key").unlink()
    record = Record(tmp_path)
    with pytest.raises(KeyFileError, match=r"chain.key: the newest head of .*record.sqlite is not signed by this key"):
        Chain(record, tmp_path).catch_up(lambda text: None)
    (tmp_path / "chain.key").write_text(key)
    Chain(record, tmp_path).catch_up(lambda text: None)
    record.close()


def test_a_closure_that_came_to_nothing_is_not_taken_for_anothers(record: Record, tmp_path: Path) -> None:
    """The market's closure is rolled back, the month's thread books one under the same number, the market goes on."""
    chain, other = Chain(record, tmp_path), Record(tmp_path)
    gates = Gates(record, grace_s=0.0, chain=chain)
    gates.tick(SINCE + 900 * INTERVALS, 0.0)
    gates.close_next()
    with pytest.raises(RuntimeError, match="no room"), record.transaction():
        gate = record.close_gate(SINCE, 900, now=1, versions={}, horizon=0, inputs=record.input_versions(0))
        record.add_result(gate, record.result(1))
        chain.add(gate)
        raise RuntimeError("no room")
    theirs = Gates(other, grace_s=0.0, chain=Chain(other, tmp_path))
    theirs.tick(SINCE + 900 * INTERVALS, 0.0)
    theirs.close_next()
    gates.next_start += 900
    close_all(gates, 0.0)
    audit(record, tmp_path / "no keys", quiet)
    other.close()
