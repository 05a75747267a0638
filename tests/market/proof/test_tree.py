"""The tree: every account's way leads to one root, and what it shows of others is blinded."""

from __future__ import annotations

import pytest

from market.proof import verify
from market.proof.curve import ORDER, commit, decode, encode
from market.proof.tree import MANY, Account, Closure, blinding, grow, leaf_hash, node_hash, part_hash, salt

CLOSURE = Closure("c", "interval", 900, 900, 0)
SECRET = bytes(32)


def accounts(count: int) -> list[Account]:
    energy_wh = [7 * i for i in range(1, count)]
    money = [-(10**9) * i for i in range(1, count)]
    texts = [{"reading": f'{{"home":{i}}}', "outcome": "{}"} for i in range(count)]
    figures = zip([*energy_wh, -sum(energy_wh)], [*money, -sum(money)], texts, strict=True)
    return [Account(f"a{i}", text, energy, amount) for i, (energy, amount, text) in enumerate(figures)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 13, MANY - 1, MANY, MANY + 1])
def test_every_way_leads_to_the_root(count: int) -> None:
    rows = accounts(count)
    tree = grow(SECRET, CLOSURE, rows)
    assert encode([commit(0, 0, tree.blinding)]) == [tree.levels[-1][0][1]], "the sums are zero"
    for place, account in enumerate(rows):
        own = commit(account.energy_wh, account.money, blinding(SECRET, CLOSURE, account.name))
        parts = [
            part_hash(kind, salt(SECRET, CLOSURE, account.name, kind), text) for kind, text in account.texts.items()
        ]
        node = (leaf_hash(parts, encode([own])[0]), encode([own])[0])
        way = tree.way(place)
        assert len(way) <= (count - 1).bit_length()
        for step in way:
            other = (step.hash, step.sum)
            left, right = (other, node) if step.side == "left" else (node, other)
            points = [verify._decode(left[1]), verify._decode(right[1])]
            assert points[0] is not None
            assert points[1] is not None
            node = (node_hash(left, right), verify._encode(verify._add(points[0], points[1])))
        assert node == tree.levels[-1][0]
        assert node[0] == tree.root


def test_no_two_salts_are_the_same() -> None:
    closures = [
        CLOSURE,
        Closure("d", "interval", 900, 900, 0),
        Closure("c", "month", 900, 900, 0),
        Closure("c", "interval", 1800, 900, 0),
        Closure("c", "interval", 900, 1800, 0),
        Closure("c", "interval", 900, 900, 1),
    ]
    found = {
        salt(secret, closure, account, kind)
        for secret in (SECRET, b"\1" * 32)
        for closure in closures
        for account in ("household:a", "household:b")
        for kind in ("reading", "order", "sum")
    }
    assert len(found) == 2 * 6 * 2 * 3
    assert all(0 <= blinding(SECRET, closure, "household:a") < ORDER for closure in closures)


def test_the_same_closure_makes_the_same_tree() -> None:
    assert grow(SECRET, CLOSURE, accounts(9)) == grow(SECRET, CLOSURE, accounts(9))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 101])
def test_arithmetic_in_columns_grows_the_same_tree(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    trees = []
    for many in (0, count + 1):
        monkeypatch.setattr("market.proof.tree.MANY", many)
        trees.append(grow(SECRET, CLOSURE, accounts(count)))
    assert trees[0] == trees[1]


def test_a_hidden_sum_is_another_each_time_though_the_figures_are_the_same() -> None:
    rows = [Account(f"a{i}", {}, 0, 0) for i in range(8)]
    revisions = [grow(SECRET, Closure("c", "interval", 900, 900, revision), rows) for revision in (0, 1)]
    hidden = [sum for tree in revisions for level in tree.levels for _, sum in level]
    assert len(set(hidden)) == len(hidden)
    assert all(decode(sum) is not None for sum in hidden)


@pytest.mark.parametrize(("energy_wh", "money", "said"), [(1, 0, "the energies"), (0, -1, "the money")])
def test_accounts_that_do_not_sum_to_zero_make_no_tree(energy_wh: int, money: int, said: str) -> None:
    with pytest.raises(ValueError, match=f"{said} of the accounts sum to"):
        grow(SECRET, CLOSURE, [*accounts(3), Account("more", {}, energy_wh, money)])
