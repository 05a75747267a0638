"""Transfers take every account from what is booked to what is due, whatever was booked before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from market.record import Gate, Transfer, transfer_id
from market.service.gates import transfers_to
from market.settlement.interval import POOL, Posting

KEYS = st.tuples(
    st.sampled_from(["household:a", "household:b", "network", "supplier"]), st.sampled_from(["trade", "fee"])
)
MONEY = st.one_of(st.sampled_from([0, 1, -1]), st.integers(-(2**66), 2**66))
GATE = Gate(7, 900, 900, 2, 0, 0, {}, {})


@given(st.dictionaries(KEYS, MONEY), st.dictionaries(KEYS, MONEY))
def test_the_difference_is_booked_and_nothing_else(
    due: dict[tuple[str, str], int], booked: dict[tuple[str, str], int]
) -> None:
    moves = transfers_to("c", GATE, [Posting(*key, money) for key, money in due.items()], booked)
    assert [move.id for move in moves] == sorted(move.id for move in moves)
    stands = dict(booked)
    for name, debit, credit, amount, reason in map(astuple, moves):
        account, money = (credit, amount) if debit == POOL else (debit, -amount)
        assert POOL in (debit, credit) and account != POOL and amount > 0
        assert name == transfer_id("c", GATE, account, reason)
        stands[account, reason] = stands.get((account, reason), 0) + money
    assert {key: money for key, money in stands.items() if money} == {key: money for key, money in due.items() if money}
    assert len({transfer.id for transfer in moves}) == len(moves)
    assert transfers_to("c", GATE, [Posting(*key, money) for key, money in due.items()], stands) == []
    assert all(isinstance(transfer, Transfer) for transfer in moves)
