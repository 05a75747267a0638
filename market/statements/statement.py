"""A household's bill as tables and sentences, from a closed month's result: what PDF and CSV both show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from market.settlement.members import household_account
from market.settlement.rules import Rules
from market.statements.billed import GIFTS, Billed
from market.statements.figures import amount, day, kwh, month_name
from market.statements.rows import Row, tariff_row
from market.tariffs.amounts import smallest
from market.tariffs.months import local, month_of

PARTNERS_SHOWN = 20
"""On paper; the CSV has all."""


class StatementError(ValueError):
    """There is no such bill; the message says why."""


@dataclass(frozen=True)
class Table:
    """``key`` names it in the CSV."""

    key: str
    title: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """Energy split by where it came from or went [Wh]."""

    label: str
    parts: tuple[tuple[str, int], ...]

    @property
    def total_wh(self) -> int:
        return sum(energy_wh for _, energy_wh in self.parts)


@dataclass(frozen=True)
class TextTable:
    """A small table of texts; the first column is to the left. ``key`` names it in the CSV."""

    key: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Statement:
    language: str
    currency: str
    title: str
    facts: tuple[tuple[str, str], ...]
    headline: tuple[str, str]
    verdict: str
    bars: tuple[Bar, ...]
    tables: tuple[Table, ...]
    grids: tuple[TextTable, ...]
    texts: tuple[tuple[str, tuple[str, ...]], ...]
    reference: str
    closed_at: int


def statement(
    rules: Rules, result: Mapping[str, Any], household: str, language: str, *, revision: int | None, closed_at: int
) -> Statement:
    """The bill of one household. ``revision`` None: the month so far, which is no bill.

    Raises StatementError for a household that was no member in the month.
    """
    body = next((bill for bill in result["bills"] if bill["household"] == household), None)
    if body is None:
        known = any(member.household == household for member in rules.members)
        why = f"was no member in {result['month']}" if known else f"is not in the community {rules.community}"
        raise StatementError(f"household {household} {why}")
    bill = Billed(rules, result, body, language)
    month = month_of(result["month"])
    reference = f"{rules.community}/{household}/{result['month']}"
    total = body["total"]
    return Statement(
        language=language,
        currency=rules.currency,
        title=bill.say("so-far" if revision is None else "title", month=month_name(*month, language)),
        facts=tuple(_facts(bill, reference, revision, closed_at)),
        headline=(bill.say("receive" if total < 0 else "pay"), bill.money(abs(total))),
        verdict=_verdict(bill),
        bars=tuple(_bars(bill)),
        tables=tuple(_tables(bill)),
        grids=tuple(_grids(bill)),
        texts=tuple(_texts(bill, closed=revision is not None)),
        reference=reference,
        closed_at=closed_at,
    )


def _facts(bill: Billed, reference: str, revision: int | None, closed_at: int) -> Iterator[tuple[str, str]]:
    body, zone, language = bill.body, bill.zone, bill.language
    last = local(body["last"] + bill.rules.interval_s - 1, zone)
    period = bill.say("from-to", first=day(local(body["first"], zone), language), last=day(last, language))
    yield bill.say("household"), f"{body['name']} ({body['household']})"
    yield bill.say("community"), bill.rules.community
    yield bill.say("period"), period
    titles = bill.tariff.title if bill.tariff else {}
    yield bill.say("tariff"), titles.get(language) or titles.get("en") or body["tariff"]
    if revision is not None:
        number = reference if not revision else bill.say("revision", number=reference, revision=revision)
        yield bill.say("number"), number
        yield bill.say("dated"), day(local(closed_at, zone), language)


def _verdict(bill: Billed) -> str:
    alone, gain = bill.body["alone"]["total"], bill.body["gain"]
    stated = bill.say("gets" if alone < 0 else "owes", amount=bill.money(abs(alone)))
    if gain < 0 <= bill.gain_if_paid:
        said = bill.say("if-paid", alone=stated, gain=bill.money(bill.gain_if_paid))
    elif gain > 0:
        said = bill.say("better", alone=stated, gain=bill.money(gain))
    elif gain < 0:
        said = bill.say("worse", alone=stated, loss=bill.money(-gain))
    else:
        said = bill.say("even", alone=stated)
    return said + "".join(bill.gift("counts", gift) for gift in bill.gifts)


def _bars(bill: Billed) -> Iterator[Bar]:
    body, say_ = bill.body, bill.say
    bought, sold = body["bought_wh"], body["sold_wh"]
    used = max(0, body["consumption_wh"] - body["import_wh"])
    yield Bar(
        say_("used"),
        (
            (say_("own-roof"), used),
            (say_("neighbours"), bought),
            (say_("supplier"), body["import_wh"] - bought),
        ),
    )
    if body["generation_wh"] or body["export_wh"]:
        yield Bar(
            say_("made"),
            (
                (say_("own-roof"), max(0, body["generation_wh"] - body["export_wh"])),
                (say_("neighbours"), sold),
                (say_("supplier"), body["export_wh"] - sold),
            ),
        )


def _tables(bill: Billed) -> Iterator[Table]:
    body, own, alone, trades = bill.body, bill.body["own"], bill.body["alone"], bill.body["trades"]
    supplied = _tariff_rows(bill, own)
    yield Table(
        "supplier",
        bill.say("supplier-bill"),
        (*supplied, Row(bill.say("subtotal"), "", own["total"], strong=True)),
        bill.say("supplier-note")
        + "".join(_for(bill, account) for account in ("state", "network"))
        + bill.netted("own", body["import_wh"] - body["bought_wh"], body["export_wh"] - body["sold_wh"]),
    )
    total_row = Row(bill.say("trades-total"), "", trades["due"], strong=True)
    yield Table("trades", bill.say("trades"), (*_trade_rows(bill), total_row))
    total = body["total"]
    summed = [Row(bill.say("subtotal"), "", own["total"]), Row(bill.say("trades-total"), "", trades["due"])]
    if body["true_up"]:
        how = bill.say("true-up-get" if body["true_up"] > 0 else "true-up-give")
        summed.append(Row(bill.say("true-up"), how, -body["true_up"]))
    word = "total-receive" if total < 0 else "total-pay"
    summed.append(Row(bill.say(word), "", abs(total), strong=True, body={"money": total}))
    yield Table("total", bill.say("sum"), tuple(summed))
    by_itself = _tariff_rows(bill, alone)
    yield Table(
        "alone",
        bill.say("alone"),
        (*by_itself, Row(bill.say("alone-total"), "", alone["total"], strong=True)),
        bill.say("alone-note") + bill.netted("alone", body["import_wh"], body["export_wh"]),
    )


def _tariff_rows(bill: Billed, made: Mapping[str, Any]) -> list[Row]:
    fixed, currency = bill.fixed, bill.rules.currency
    return [tariff_row(line, bill.language, currency, bill.titles, fixed, bill.price) for line in made["lines"]]


def _for(bill: Billed, account: str) -> str:
    due = sum(line["money"] for line in bill.body["own"]["lines"] if line["account"] == account)
    return bill.say(f"supplier-{account}", due=bill.money(due)) if due else ""


def _trade_rows(bill: Billed) -> Iterator[Row]:
    body, trades = bill.body, bill.body["trades"]
    if not body["bought_wh"] and not body["sold_wh"]:
        yield Row("", bill.say("no-trades"), 0)
    for word, energy_wh, worth, ticks, sign in bill.traded:
        if ticks is None:
            how = bill.say("mean", energy=kwh(energy_wh))
        else:
            how = bill.say("each", energy=kwh(energy_wh), price=bill.price(ticks))
        if word in GIFTS:
            how = bill.say("gift-how", of=how)
        each = {"energy_wh": energy_wh, "price_ticks": ticks}
        yield Row(bill.say(word), how, sign * worth, body=each)
    if trades["fees"]:
        yield Row(bill.say("fees"), bill.say("fees-how"), trades["fees"])
    if trades["rounding"]:
        exact, currency = trades["due"] - trades["rounding"], bill.rules.currency
        rule = bill.say("rule-half-up", to=amount(smallest(currency), currency))
        how = bill.say("rounds", of=amount(exact, currency), rule=rule)
        yield Row(bill.say("line-rounding"), how, trades["rounding"], body={"of_money": exact})


def _grids(bill: Billed) -> Iterator[TextTable]:
    partners = bill.body["partners"]
    if partners:
        gifts = [way for way in GIFTS if f"{way}_wh" in bill.body]
        ways = tuple(f"{way}_wh" for way in ("bought", "sold", *gifts))
        heads = (bill.say("partner"), *(bill.say(way.replace("_wh", "-kwh")) for way in ways))
        order = sorted(partners, key=lambda one: (-one["bought_wh"] - one["sold_wh"], one["household"]))
        order, others = order[:PARTNERS_SHOWN], order[PARTNERS_SHOWN:]
        rows = [(bill.name(one["household"]), *(kwh(one.get(way, 0)) for way in ways)) for one in order]
        if others:
            sums = (sum(one.get(way, 0) for one in others) for way in ways)
            rows.append((bill.say("others", count=len(others)), *map(kwh, sums)))
        yield TextTable("partners", bill.say("partners"), heads, tuple(rows), bill.say("partners-note"))
    if bill.body["own"]["netted"] or bill.body["credits"]["before"]["own"]:
        words = ("credit-before", "credit-used", "credit-expired", "credit-after")
        credits = tuple(_credit_row(bill, way) for way in ("own", "alone"))
        after = {way: sum(one["energy_wh"] for one in bill.body["credits"]["after"][way]) for way in ("own", "alone")}
        fewer = after["alone"] - after["own"]
        note = bill.say("credits-note", kwh=kwh(fewer)) if fewer > 0 else ""
        yield TextTable("credits", bill.say("credits"), ("kWh", *(bill.say(word) for word in words)), credits, note)


def _credit_row(bill: Billed, way: str) -> tuple[str, ...]:
    netted = bill.body[way]["netted"] or {"used_wh": 0, "expired_wh": 0}
    before, after = (sum(one["energy_wh"] for one in bill.body["credits"][at][way]) for at in ("before", "after"))
    figures = (before, netted["used_wh"], netted["expired_wh"], after)
    return (bill.say(f"credit-{way}"), *(kwh(energy_wh) for energy_wh in figures))


def _texts(bill: Billed, *, closed: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    promise, body = bill.result["promise"], bill.body
    if gifts := [bill.gift("gifts", gift) for gift in bill.gifts]:
        yield bill.say("gifts"), (*gifts, bill.say("gifts-true-up"))
    gains, losses, paid = (bill.money(promise[name]) for name in ("gains", "losses", "paid"))
    if not promise["losses"]:
        held = bill.say("promise-none", gains=gains)
    elif promise["paid"] == promise["losses"]:
        held = bill.say("promise-full", losses=losses, gains=gains)
    else:
        left = bill.money(max(0, -bill.gain_if_paid))
        held = bill.say("promise-part", losses=losses, paid=paid, gains=gains, left=left)
    final = (bill.say("promise-final"),) if bill.result.get("final") else ()
    yield bill.say("promise"), (bill.say(f"promise-{promise['kind']}"), held, *final)
    missing = body["intervals"] - body["heard"]
    minutes = bill.rules.interval_s // 60 if bill.rules.interval_s % 60 == 0 else f"{bill.rules.interval_s}/60"
    checks = [bill.say("check-intervals", intervals=body["intervals"], minutes=minutes, heard=body["heard"])]
    if missing:
        checks.append(bill.say("check-missing", missing=missing))
    if body["estimated"]:
        checks.append(bill.say("check-estimated", count=body["estimated"]))
    checks.append(bill.say("check-exact"))
    if closed:
        checks.append(bill.say("check-booked", account=household_account(body["household"])))
    if bill.tariff is not None:
        checks.append(bill.say("check-source", source=bill.tariff.source))
    yield bill.say("check"), tuple(checks)
