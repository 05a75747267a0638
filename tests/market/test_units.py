"""Decimals that people read and integers that the engine counts in: the way there and back."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.units import decimal_text, ticks


@given(st.integers(-(2**30) + 1, 2**30 - 1))
def test_decimals_round_trip(value: int) -> None:
    assert ticks(decimal_text(value)) == value
    assert json.loads(decimal_text(value), parse_float=Decimal) * 100_000 == value


@pytest.mark.parametrize(
    ("text", "value"), [("0.30", 30_000), ("-0.00001", -1), ("+5", 500_000), ("0", 0), ("10737.41823", 2**30 - 1)]
)
def test_prices_are_read_exactly(text: str, value: int) -> None:
    assert ticks(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a decimal number"),
        ("NaN", "not a decimal number"),
        ("1e3", "not a decimal number"),
        ("0,3", "not a decimal number"),
        ("0.123456", "more than 5 decimals"),
        ("10737.41824", "must be below"),
        ("9" * 13, "not a decimal number"),
    ],
)
def test_what_is_no_price_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ticks(text)
