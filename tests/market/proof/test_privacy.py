"""A curious neighbour: it has its own proof, everything that is public, and time to try every value.

Registers of a quarter-hour are few: a home imports or exports some hundred Wh. Whoever could test a guess would know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from market.proof.curve import ORDER, Point, add, commit, decode, encode, generator, negative
from market.proof.tree import blinding, leaf_hash, part_hash, salt
from tests.market.proof.street import ENERGY, LENGTH, SECRET, SINCE, Chain, make_chain

CURIOUS, VICTIM = "household:h2", "household:h3"
"""Neighbours in the tree: the curious one's way to the root begins with the victim's leaf."""
START = SINCE + LENGTH
MOST_WH = 600
"""More than any home of the street imports in a quarter-hour."""


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain(intervals=3, revised=9)


@pytest.fixture(scope="module")
def known(chain: Chain) -> dict[str, Any]:
    """All that the curious neighbour has: its proof, and every entry and head of the chain."""
    return {
        "proof": json.loads(chain.proof(CURIOUS, START)),
        "public": [*chain.entries[1:], *map(bytes.hex, chain.heads)],
    }


def texts_of(chain: Chain, name: str) -> dict[str, str]:
    return dict(next(account for account in chain.accounts[2] if account.name == name).texts)


def guesses(chain: Chain) -> Iterator[tuple[int, dict[str, str], int, int]]:
    """(import [Wh], texts, energy, money) of the victim, for every import there can be; all else it knows rightly."""
    true = {kind: json.loads(text) for kind, text in texts_of(chain, VICTIM).items()}
    place = [account.name for account in chain.accounts[2]].index(VICTIM)
    money = chain.accounts[2][place].money
    own_wh, _ = ENERGY[3]
    for import_wh in range(MOST_WH):
        texts = json.loads(json.dumps(true))
        meter = texts["reading"]["meters"][0]
        meter["after"][0] = meter["after"][3] = meter["before"][0] + import_wh
        texts["outcome"] |= {"import_wh": import_wh, "consumption_wh": import_wh}
        if import_wh == own_wh:
            assert texts == true
        yield import_wh, {kind: msgspec.json.encode(text).decode() for kind, text in texts.items()}, -import_wh, money


def salts_to_try(known: dict[str, Any]) -> list[bytes]:
    """No salt, an empty one, its own, and every 32 bytes that are public."""
    text = json.dumps(known)
    own = [bytes.fromhex(part["salt"]) for part in known["proof"]["revisions"][0]["parts"]]
    public = {word for word in text.replace("\\", "").replace('"', " ").replace(",", " ").split() if len(word) == 64}
    assert len(public) > 20
    return [b"", bytes(32), *own, *(bytes.fromhex(word) for word in sorted(public))]


def beside(known: dict[str, Any]) -> tuple[bytes, bytes]:
    """What its proof shows of the victim: hash and hidden sum."""
    _, value, hidden = known["proof"]["revisions"][0]["way"][0]
    return bytes.fromhex(value), bytes.fromhex(hidden)


def test_the_victim_is_the_first_that_the_curious_neighbour_sees(chain: Chain, known: dict[str, Any]) -> None:
    tree = chain.trees[2]
    assert tree is not None
    place = [account.name for account in chain.accounts[2]].index(VICTIM)
    assert tree.levels[0][place] == beside(known)


def found_by_hash(chain: Chain, seen: tuple[bytes, bytes], salts: list[dict[str, bytes]]) -> set[int]:
    """The guesses that a set of salts (by kind) confirms against the leaf that is seen."""
    return {
        import_wh
        for import_wh, texts, _, _ in guesses(chain)
        for tried in salts
        if leaf_hash([part_hash(kind, tried[kind], text) for kind, text in texts.items()], seen[1]) == seen[0]
    }


def test_no_register_is_confirmed_by_a_hash(chain: Chain, known: dict[str, Any]) -> None:
    kinds = list(texts_of(chain, VICTIM))
    tries = [dict.fromkeys(kinds, salt) for salt in salts_to_try(known)]
    own = known["proof"]["revisions"][0]["parts"]
    tries.append({part["kind"]: bytes.fromhex(part["salt"]) for part in own})
    assert found_by_hash(chain, beside(known), tries) == set()


def test_the_same_search_finds_it_where_the_salts_are_known(chain: Chain, known: dict[str, Any]) -> None:
    """So that the test above could fail."""
    closure = chain.closures[2]
    assert closure is not None
    salts = {kind: salt(SECRET, closure, VICTIM, kind) for kind in texts_of(chain, VICTIM)}
    assert found_by_hash(chain, beside(known), [salts]) == {ENERGY[3][0]}


def found_by_sum(seen: bytes, blindings: list[int], figures: list[tuple[int, int, int]]) -> set[int]:
    """The guesses (import, energy, money) that one of the blindings confirms against the hidden sum that is seen."""
    point = decode(seen)
    assert point is not None
    # What is left of the sum without a blinding must be the figures alone.
    left = set(encode([add(point, negative(commit(0, 0, blinding))) for blinding in blindings]))
    tried: list[Point] = [commit(energy_wh, money, 0) for _, energy_wh, money in figures]
    return {guess for (guess, _, _), data in zip(figures, encode(tried), strict=True) if data in left}


def test_no_register_is_confirmed_by_a_hidden_sum(chain: Chain, known: dict[str, Any]) -> None:
    revision = known["proof"]["revisions"][0]
    own, total = int(revision["blinding"], 16), int(json.loads(revision["entry"])["blinding"], 16)
    public = [int.from_bytes(salt, "big") % ORDER for salt in salts_to_try(known)]
    blindings = [0, own, total, (total - own) % ORDER, (own - total) % ORDER, *public]
    figures = [(import_wh, energy_wh, money) for import_wh, _, energy_wh, money in guesses(chain)]
    # It may also think that the victim traded nothing, or that only the energy counts.
    figures += [(-1, 0, 0), *((import_wh, energy_wh, 0) for import_wh, energy_wh, _ in figures)]
    assert found_by_sum(beside(known)[1], blindings, figures) == set()


def test_the_same_search_finds_it_where_the_blinding_is_known(chain: Chain, known: dict[str, Any]) -> None:
    closure = chain.closures[2]
    assert closure is not None
    figures = [(import_wh, energy_wh, money) for import_wh, _, energy_wh, money in guesses(chain)]
    assert found_by_sum(beside(known)[1], [blinding(SECRET, closure, VICTIM)], figures) == {ENERGY[3][0]}


@pytest.mark.parametrize("limit_ticks", [8_000, 19_000, 30_000])
def test_no_offer_is_confirmed_either(chain: Chain, known: dict[str, Any], limit_ticks: int) -> None:
    """Whatever limit it supposes, the victim's order is hashed with a salt of its own."""
    order = json.loads(texts_of(chain, VICTIM)["order"]) | {"limit_ticks": limit_ticks}
    text = msgspec.json.encode(order).decode()
    seen = {beside(known)[0], *(bytes.fromhex(row[1]) for row in known["proof"]["revisions"][0]["way"])}
    for tried in salts_to_try(known):
        assert part_hash("order", tried, text) not in seen
        assert hashlib.sha256(tried + text.encode()).digest() not in seen


def test_nothing_of_the_neighbours_stands_in_the_proof_or_in_public(chain: Chain, known: dict[str, Any]) -> None:
    text = json.dumps(known)
    for account in chain.accounts[2]:
        if account.name != CURIOUS:
            assert account.name not in text
            for part in account.texts.values():
                assert msgspec.json.encode(part).decode()[1:-1] not in text


def test_figures_without_a_blinding_would_be_found_at_once() -> None:
    """Why the sums are blinded: the bare sum beside one's own leaf is the neighbour's figure."""
    bare = encode([commit(-210, 5, 0)])[0]
    figures = [(import_wh, -import_wh, 5) for import_wh in range(MOST_WH)]
    assert found_by_sum(bare, [0], figures) == {210}
    assert encode([generator("energy")]) != encode([generator("money")])
