"""A month closed: every household's bill with the community and alone, the true-up, and what is to be booked.

``close_month`` is a pure function of the rules, the month's interval results and the credits of the months before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from market.billing.netting import Netting, net_month, traded
from market.billing.trueup import TrueUp, true_up
from market.billing.usage import CarryOver, HouseholdUse, IntervalResult, add_up
from market.clearing.clear import Solver
from market.settlement.interval import (
    FEE,
    NETWORK,
    SUPPLIER,
    TRADE,
    Posting,
    SettlementError,
    household_account,
)
from market.settlement.rules import MONTHLY_NETTING, Rules
from market.tariffs.amounts import Rounding, smallest
from market.tariffs.bill import Bill, bill
from market.tariffs.credits import Credit
from market.tariffs.months import Month
from market.tariffs.tariff import Metering

INVOICE, TRUE_UP, ROUNDING = "invoice", "true-up", "rounding"
"""Reasons of a month's postings; the last is also the account that holds what rounding to coins leaves."""
STATE = "state"


class BillingError(ValueError):
    """A month cannot be billed; the message says which and why."""


@dataclass(frozen=True)
class HouseholdMonth:
    """One household's month.

    Attributes:
        use: its energy, trades and partners.
        own, alone: the tariff's bill with the community, and as if there were none.
        trades_due: what its trades come to, in coins [Wh x tick]; negative where it is paid.
        true_up: what it gets to be no worse off than alone, negative where it gives.
        before, after: credits of net metering.
        coin: what can be paid at the least [Wh x tick].
    """

    use: HouseholdUse
    own: Bill
    alone: Bill
    trades_due: int
    true_up: int
    before: CarryOver
    after: CarryOver
    coin: int

    @property
    def rounding_due(self) -> int:
        """What rounding its trades to coins adds."""
        return self.trades_due + self.use.trade_money

    @property
    def total(self) -> int:
        """What the household owes for the month [Wh x tick]."""
        return self.own.total + self.trades_due - self.true_up

    @property
    def gain(self) -> int:
        return self.alone.total - self.total

    @property
    def gain_if_paid(self) -> int:
        """The gain if its gifts had been paid, by its giver or to it, in coins: what the promise looks at."""
        trades_due = Rounding(self.coin)(-self.use.trade_money - self.use.gift_money)
        return self.gain + self.trades_due - trades_due


@dataclass(frozen=True)
class Standing:
    """What of a month no correction moves any more once it is final: its month-end trades, and the true-up."""

    netting: Netting | None
    true_up: TrueUp


@dataclass(frozen=True)
class MonthSettled:
    """A whole month [epoch s, s]: ``first`` and ``last`` are the starts of its first and last settled interval.

    ``waiting`` are the credits of households that were no members in it. ``final``: netting and true-up are those of
    the revision before.
    """

    month: Month
    start: int
    length: int
    first: int
    last: int
    intervals: int
    households: tuple[HouseholdMonth, ...]
    true_up: TrueUp
    netting: Netting | None
    waiting: Mapping[str, CarryOver]
    postings: tuple[Posting, ...]
    final: bool


def close_month(
    rules: Rules,
    month: Month,
    intervals: Iterable[IntervalResult],
    before: Mapping[str, CarryOver],
    solver: Solver = "pulp",
    standing: Standing | None = None,
) -> MonthSettled:
    """Bill a month.

    ``rules`` are those the month is billed by, ``intervals`` its newest results in order of time, ``before`` each
    household's credits from earlier months; ``standing`` is what a final month keeps, so that a correction changes
    the corrected household's bill only. Raises BillingError for a month without data, TariffError when a tariff
    does not hold for all of it, SettlementError when the money does not come out, which is a defect.
    """
    use = add_up(rules, month, intervals)
    if not use.intervals:
        raise BillingError(f"month {month}: there is no settled interval in it")
    netting = None
    if standing is not None:
        netting = standing.netting
    elif rules.mechanism == MONTHLY_NETTING:
        netting = net_month(rules, month, use.households, before, solver)
    if netting is not None:
        traded(netting, use.households)
    coin = smallest(rules.currency)
    drafts = [
        _draft(one, month, before.get(one.member.household, CarryOver()), coin) for one in use.households.values()
    ]
    if standing is not None:
        moved = standing.true_up
    else:
        moved = true_up({draft.use.member.household: draft.gain_if_paid for draft in drafts}, coin)
    households = tuple(replace(draft, true_up=moved.moved.get(draft.use.member.household, 0)) for draft in drafts)
    zone = ZoneInfo(rules.timezone)
    start = month.start(zone)
    waiting = {household: credits for household, credits in before.items() if household not in use.households}
    postings = _postings(households, netting)
    settled = MonthSettled(
        month, start, month.end(zone) - start, use.first, use.last, use.intervals,
        households, moved, netting, waiting, postings, standing is not None,
    )  # fmt: skip
    _check(settled)
    return settled


def _draft(use: HouseholdUse, month: Month, before: CarryOver, coin: int) -> HouseholdMonth:
    """The month before the true-up."""
    own = bill(use.tariff, month, use.usage(), before.own)
    alone = bill(use.tariff, month, use.alone(), before.alone)
    after = CarryOver(_after(use, own, before.own), _after(use, alone, before.alone))
    return HouseholdMonth(use, own, alone, Rounding(coin)(-use.trade_money), 0, before, after, coin)


def _after(use: HouseholdUse, made: Bill, before: tuple[Credit, ...]) -> tuple[Credit, ...]:
    """Credits wait while a household's tariff has no net metering."""
    return made.credits if isinstance(use.version.export, Metering) else before


def _postings(households: Iterable[HouseholdMonth], netting: Netting | None) -> tuple[Posting, ...]:
    """What the month adds to what its intervals have booked; the pool is everybody's counterparty."""
    postings = []
    lines = {SUPPLIER: 0, NETWORK: 0, STATE: 0}
    rounding = 0
    for household in households:
        use = household.use
        account = household_account(use.member.household)
        if netting is not None:
            postings.append(Posting(account, TRADE, netting.money.get(use.member.household, 0)))
        postings.append(Posting(account, INVOICE, -household.own.total - use.residual_money))
        postings.append(Posting(account, ROUNDING, -household.rounding_due))
        postings.append(Posting(account, TRUE_UP, household.true_up))
        for line in household.own.lines:
            lines[line.account] += line.money
        lines[SUPPLIER] += use.residual_money
        rounding += household.rounding_due
    postings += [Posting(account, INVOICE, money) for account, money in lines.items()]
    postings.append(Posting(ROUNDING, ROUNDING, rounding))
    if netting is not None:
        postings.append(Posting(NETWORK, FEE, netting.fees))
    return tuple(posting for posting in postings if posting.money)


def _check(settled: MonthSettled) -> None:
    """What every month must satisfy, looked at before anything is booked."""
    where = f"month {settled.month}"
    if sum(posting.money for posting in settled.postings):
        raise SettlementError(f"{where}: the money does not sum to zero")
    for household in settled.households:
        who = household.use.member.household
        for made in (household.own, household.alone):
            if made.total != sum(line.money for line in made.lines):
                raise SettlementError(f"{where}: {who}: the lines do not add up to the bill")
        if settled.final:
            continue
        if household.gain_if_paid < 0 and settled.true_up.paid == settled.true_up.losses:
            raise SettlementError(f"{where}: {who} is worse off than alone, though the gains could have paid for it")
    if sum(household.use.bought_wh - household.use.sold_wh for household in settled.households):
        raise SettlementError(f"{where}: bought and sold energy differ")
    if sum(household.use.gift_money for household in settled.households):
        raise SettlementError(f"{where}: gifts given and received differ")
