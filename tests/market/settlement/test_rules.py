"""A community file that cannot be used is refused with the place and the reason."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from firmware.host.community import community_document
from firmware.host.street import load_street, with_homes
from market.settlement.limits import order_limits, values_at
from market.settlement.rules import Rules, RulesError, parse, split

DOCUMENT = community_document(with_homes(load_street(), 12), "rural3")


def limits(rules: Rules) -> dict[str, tuple[int, int]]:
    """By household: the least its asks may bring and the most its bids may cost in some interval."""
    worth = values_at(rules, 900_000)
    found = {member.household: order_limits(member, worth[member.tariff_name]) for member in rules.members}
    return {household: (limit.least_ticks, limit.most_ticks) for household, limit in found.items()}


def test_a_streets_community_file_is_good() -> None:
    rules = parse(split(DOCUMENT))
    assert len(rules.members) == 12
    assert [member.household for member in rules.members] == sorted(member.household for member in rules.members)
    assert rules.reference.retail_ticks == 30_000
    assert set(limits(rules).values()) == {(8_000, 30_000)}


def test_a_limit_beyond_the_outside_option_does_not_count() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["members"][0]["offer"] = {"min_sell_per_kwh": "0.01", "max_buy_per_kwh": "0.99"}
    document["members"][1]["offer"] = {"min_sell_per_kwh": "0.15", "max_buy_per_kwh": "0.20"}
    found = limits(parse(split(document)))
    first, second = (found[document["members"][i]["household"]] for i in (0, 1))
    assert first == (8_000, 30_000)
    assert second == (15_000, 20_000)


@pytest.mark.parametrize(
    ("timezone", "interval_s"), [("Europe/Berlin", 3600), ("Asia/Kolkata", 1800), ("Asia/Kathmandu", 900)]
)
def test_intervals_that_divide_the_zones_offsets_are_good(timezone: str, interval_s: int) -> None:
    assert parse(split(DOCUMENT | {"timezone": timezone, "interval_s": interval_s})).interval_s == interval_s
    with pytest.raises(RulesError, match="does not divide the UTC offset"):
        parse(split(DOCUMENT | {"timezone": timezone, "interval_s": interval_s * 2}))


def change(path: list[Any], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (["members"], KeyError, "missing required field `members`"),
        (["members"], [], "length >= 1"),
        (["interval_s"], 700, "does not divide the day"),
        (["interval_s"], 14_400, "does not divide the UTC offset of 3600 s"),
        (["timezone"], "localtime", "timezone 'localtime' is unknown"),
        (["timezone"], "Europe/Nowhere", "timezone 'Europe/Nowhere' is unknown"),
        (["mechanism"], "auction", "'auction' is unknown"),
        (["reference", "retail_per_kwh"], "0.05", "feed-in above retail"),
        (["reference", "retail_per_kwh"], "cheap", "not a decimal number"),
        (["tariffs", "standard", "retail_per_kwh"], "0.123456", "more than 5 decimals"),
        (["tariffs", "standard", "retail_per_kwh"], "NaN", "not a decimal number"),
        (["tariffs", "standard", "retail_per_kwh"], "99999", "must be below"),
        (["network", 1, "parent"], "nowhere", "its parent nowhere is unknown"),
        (["network", 0, "parent"], DOCUMENT["network"][1]["node"], "network"),
        (["network", 1, "fee_per_kwh"], "-0.01", "network"),
        (["tariffs", "standard", "retail_per_kwh"], 0.3, "Expected `str`, got `float`"),
        (["community"], "My Street/#", "community"),
        (["currency"], "euro", "currency"),
        (["network", 0], "root", "Expected `object`"),
        (["network", 1, "limit_wh"], 1.9, "Expected `int"),
        (["members", 0, "meters", 0, "kid"], 0, "kid"),
        (["members", 0, "meters", 0, "meter"], "M 1/+", "meter"),
        (["members", 0, "meters", 0, "since"], 1700000100.5, "since"),
        (["members", 0, "meters", 0, "import_wh"], -1, "import_wh"),
        (["members", 0, "household"], "h\n1", "household"),
        (["members", 0, "name"], "a\nb", "name"),
        (["members", 0, "offers"], {}, "unknown field `offers`"),
        (["members", 0, "offer"], [], "offer"),
        (["tariffs"], [], "tariffs"),
        (["members", 0, "node"], "nowhere", "its node nowhere is unknown"),
        (["members", 0, "tariff"], "none", "its tariff none is unknown"),
        (["members", 0, "household"], DOCUMENT["members"][1]["household"], "stands twice"),
        (["members", 0, "meters"], [], "length >= 1"),
        (["members", 0, "meters", 0, "meter"], DOCUMENT["members"][1]["meters"][0]["meter"], "stands twice"),
        (["members", 0, "meters", 0, "since"], 1, "no interval's start"),
        (["members", 0, "meters", 0, "kid"], KeyError, "missing required field `kid`"),
        (["members", 0, "offer", "max_buy_per_kwh"], "x", "not a decimal number"),
    ],
)
def test_each_fault_is_named(path: list[Any], value: Any, reason: str) -> None:
    with pytest.raises(RulesError, match=reason):
        parse(split(change(path, value)))
