"""Net metering: export off import, credits the oldest first, and when they end. No Wh is lost or made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.tariffs import Amount, Credit, Usage, bill, month_of
from market.tariffs.amounts import money_text
from market.tariffs.credits import net
from market.tariffs.tariff import Metering
from tests.market.tariffs.documents import blocks, tariff

MAY = month_of("2026-05")
NEVER = Metering(None, None, 0)


def credits(**by_month: int) -> list[Credit]:
    return [Credit(month_of(f"2026-{name[1:]}"), energy_wh) for name, energy_wh in by_month.items()]


@pytest.mark.parametrize(
    ("metering", "supplied", "fed_in", "before", "billed", "expired", "after"),
    [
        (NEVER, 300, 100, {}, 200, 0, {}),
        (NEVER, 100, 300, {}, 0, 0, {"m05": 200}),
        (NEVER, 300, 100, {"m03": 150}, 50, 0, {}),
        (NEVER, 300, 100, {"m04": 150, "m03": 150}, 0, 0, {"m04": 100}),  # the oldest goes first
        (NEVER, 100, 300, {"m04": 50}, 0, 0, {"m04": 50, "m05": 200}),
        (Metering(1, None, 0), 100, 300, {"m04": 50}, 0, 50, {"m05": 200}),
        (Metering(2, None, 0), 100, 300, {"m04": 50, "m03": 20}, 0, 20, {"m04": 50, "m05": 200}),
        (Metering(0, None, 0), 100, 300, {}, 0, 200, {}),
        (Metering(None, 5, 0), 100, 300, {"m04": 50}, 0, 250, {}),
        (Metering(None, 6, 0), 100, 300, {"m04": 50}, 0, 0, {"m04": 50, "m05": 200}),
        (Metering(1, None, 0), 300, 100, {"m04": 250}, 0, 50, {}),  # used before it ends
    ],
)
def test_a_month(
    metering: Metering,
    supplied: int,
    fed_in: int,
    before: dict[str, int],
    billed: int,
    expired: int,
    after: dict[str, int],
) -> None:
    found = net(metering, MAY, supplied, fed_in, credits(**before))
    assert (found.billed_wh, found.expired_wh, list(found.after)) == (billed, expired, credits(**after))


ENERGY = st.integers(0, 10_000)
METERINGS = st.sampled_from([NEVER, *(Metering(months, None, 0) for months in range(4)), Metering(None, 3, 0)])


@given(METERINGS, st.lists(st.tuples(ENERGY, ENERGY), max_size=20))
def test_energy_is_conserved_over_any_months(metering: Metering, flows: list[tuple[int, int]]) -> None:
    month, held = month_of("2026-01"), ()
    totals = dict.fromkeys(("supplied", "fed_in", "billed", "expired"), 0)
    for supplied, fed_in in flows:
        found = net(metering, month, supplied, fed_in, held)
        assert all(credit.energy_wh > 0 for credit in found.after)
        assert found.billed_wh == 0 or not found.after, "nobody pays who has credits"
        amounts = {"supplied": supplied, "fed_in": fed_in, "billed": found.billed_wh, "expired": found.expired_wh}
        totals = {name: total + amounts[name] for name, total in totals.items()}
        month, held = month.plus(1), found.after  # type: ignore[assignment]
    left = sum(credit.energy_wh for credit in held)
    assert totals["supplied"] + left + totals["expired"] == totals["billed"] + totals["fed_in"]


def test_an_ended_credit_may_be_paid() -> None:
    metering = {"kind": "net-metering", "expire_after_months": 1, "expired_per_kwh": "0.05"}
    of = tariff(energy=blocks({"per_kwh": "0.30"}), export=metering)
    made = bill(of, MAY, Usage({"": Amount(0, 0)}, {"": Amount(1_000, 0)}), credits(m04=20_000))
    assert [(line.name, line.detail, money_text(line.money)) for line in made.lines] == [("export", "expired", "-1")]
    assert made.credits == (Credit(MAY, 1_000),)
