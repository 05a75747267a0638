"""A closed month as it is stored and published, of plain lists, texts and integers; and what is read back of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from msgspec import structs

from market.billing.month import HouseholdMonth, MonthSettled, Standing
from market.billing.netting import Netting, Order
from market.billing.trueup import TrueUp
from market.billing.usage import CarryOver, HouseholdUse
from market.settlement.interval import Match
from market.settlement.rules import Rules
from market.tariffs.amounts import PERCENT_DECIMALS, money_text
from market.tariffs.bill import Bill, Line
from market.tariffs.credits import Credit
from market.tariffs.months import month_of


def month_result(rules: Rules, settled: MonthSettled) -> dict[str, Any]:
    """The month's publishable form; money in Wh x tick, energy in Wh (docs/tariffs.md)."""
    return {
        "month": str(settled.month),
        "start": settled.start,
        "length": settled.length,
        "first": settled.first,
        "last": settled.last,
        "intervals": settled.intervals,
        "mechanism": rules.mechanism,
        "promise": {
            "kind": rules.promise,
            "gains": settled.true_up.gains,
            "losses": settled.true_up.losses,
            "paid": settled.true_up.paid,
        },
        **({"final": True} if settled.final else {}),
        "netting": None if settled.netting is None else _netting(settled.netting),
        "bills": [_bill(household) for household in settled.households],
        "waiting": {household: _carry_over(credits) for household, credits in sorted(settled.waiting.items())},
    }


def carry_over(result: Mapping[str, Any]) -> dict[str, CarryOver]:
    """By household: the credits that a closed month leaves for the next."""
    found = {bill["household"]: _carried(bill["credits"]["after"]) for bill in result["bills"]}
    found |= {household: _carried(credits) for household, credits in result["waiting"].items()}
    return {household: credits for household, credits in sorted(found.items()) if credits.own or credits.alone}


def standing(result: Mapping[str, Any]) -> Standing:
    """What a month's result leaves to its revisions once it is final."""
    promise, netting = result["promise"], result["netting"]
    moved = {bill["household"]: bill["true_up"] for bill in result["bills"] if bill["true_up"]}
    return Standing(
        None if netting is None else _netted(netting),
        TrueUp(promise["gains"], promise["losses"], promise["paid"], moved),
    )


def _bill(month: HouseholdMonth) -> dict[str, Any]:
    use = month.use
    return {
        "household": use.member.household,
        "name": use.member.name,
        "tariff": use.member.tariff_name,
        "first": use.first,
        "last": use.last,
        "intervals": use.intervals,
        "heard": use.heard,
        "estimated": use.estimated,
        "import_wh": use.import_wh,
        "export_wh": use.export_wh,
        "generation_wh": use.generation_wh,
        "consumption_wh": use.consumption_wh,
        "bought_wh": use.bought_wh,
        "sold_wh": use.sold_wh,
        **_gifts_wh((use.received_wh, use.given_wh)),
        "own": _lines(month.own),
        "alone": _lines(month.alone),
        "trades": {
            "bought": use.bought_at_price,
            "sold": use.sold_at_price,
            **_gifts(use),
            "fees": use.fees,
            "rounding": month.rounding_due,
            "due": month.trades_due,
        },
        "true_up": month.true_up,
        "total": month.total,
        "gain": month.gain,
        "credits": {"before": _carry_over(month.before), "after": _carry_over(month.after)},
        "partners": [
            {
                "household": partner,
                "bought_wh": bought_wh,
                "sold_wh": sold_wh,
                **_gifts_wh(use.gifts.get(partner, (0, 0))),
            }
            for partner, (bought_wh, sold_wh) in sorted(use.partners.items())
        ],
    }


def _gifts_wh(energies_wh: Sequence[int]) -> dict[str, int]:
    """A bill without gifts does not speak of them."""
    return {name: wh for name, wh in zip(("received_wh", "given_wh"), energies_wh, strict=True) if wh}


def _gifts(use: HouseholdUse) -> dict[str, int]:
    """What they are worth stands wherever their energy does, at a price of 0 too."""
    found = {}
    if use.received_wh:
        found["received"] = use.received_at_price
    if use.given_wh:
        found["given"] = use.given_at_price
    return found | {"gifts": use.gift_money} if found else {}


def _lines(made: Bill) -> dict[str, Any]:
    netted = made.netted
    return {
        "lines": [_line(line) for line in made.lines],
        "total": made.total,
        "netted": netted
        and {"billed_wh": netted.billed_wh, "used_wh": netted.used_wh, "expired_wh": netted.expired_wh},
    }


def _line(line: Line) -> dict[str, Any]:
    body = asdict(line)
    if line.rate is not None:
        body["rate"] = percent_text(line)
    if line.rounding is not None:
        body["rounding"] = {"to": money_text(line.rounding.to), "mode": line.rounding.mode}
    return body


def percent_text(line: Line) -> str:
    """A line's rate in percent; exact, as a tariff's rates have so many decimals at the most."""
    assert line.rate is not None
    whole = line.rate * 100 * 10**PERCENT_DECIMALS
    text = f"{int(whole) // 10**PERCENT_DECIMALS}.{int(whole) % 10**PERCENT_DECIMALS:0{PERCENT_DECIMALS}d}"
    return text.rstrip("0").rstrip(".")


def _netting(netting: Netting) -> dict[str, Any]:
    return {
        "price_ticks": netting.price_ticks,
        "fees": netting.fees,
        "gap": netting.gap,
        "orders": [
            {
                "household": order.household,
                "side": "sell" if order.sell else "buy",
                "limit_ticks": order.price_ticks,
                "energy_wh": order.energy_wh,
                "accepted_wh": accepted_wh,
                "money": money,
            }
            for order, accepted_wh, money in zip(netting.orders, netting.accepted_wh, netting.moneys, strict=True)
        ],
        "matches": [structs.asdict(match) for match in netting.matches],
    }


def _netted(body: Mapping[str, Any]) -> Netting:
    orders = body["orders"]
    return Netting(
        price_ticks=body["price_ticks"],
        orders=tuple(
            Order(order["household"], order["side"] == "sell", order["limit_ticks"], order["energy_wh"])
            for order in orders
        ),
        accepted_wh=tuple(order["accepted_wh"] for order in orders),
        moneys=tuple(order["money"] for order in orders),
        matches=tuple(Match(**match) for match in body["matches"]),
        fees=body["fees"],
        gap=body["gap"],
    )


def _carry_over(credits: CarryOver) -> dict[str, Any]:
    return {"own": _credits(credits.own), "alone": _credits(credits.alone)}


def _credits(credits: Iterable[Credit]) -> list[dict[str, Any]]:
    return [{"month": str(credit.month), "energy_wh": credit.energy_wh} for credit in credits]


def _carried(body: Mapping[str, Any]) -> CarryOver:
    own, alone = (
        tuple(Credit(month_of(credit["month"]), credit["energy_wh"]) for credit in body[way])
        for way in ("own", "alone")
    )
    return CarryOver(own, alone)
