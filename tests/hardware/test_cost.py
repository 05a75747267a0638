"""The cost table: every part has a price, and the committed page is what the script says."""

from __future__ import annotations

from hardware import cost


def test_the_committed_page_is_current() -> None:
    assert cost.FILE.read_text(encoding="utf-8") == cost.document()


def test_every_part_has_a_price_and_every_price_a_part() -> None:
    priced = {price.item for price in cost.prices() if price.group == "part"}
    assert priced == set(cost.quantities())


def test_more_cost_less_each() -> None:
    for price in cost.prices():
        one, ten, hundred = price.each
        assert one >= ten >= hundred > 0, price.item


def test_sums() -> None:
    rows = [cost.Price("part", "a", 3, "", (1.0, 0.5, 0.25)), cost.Price("part", "b", 1, "", (2.0, 2.0, 1.0))]
    assert cost.total(rows) == (5.0, 3.5, 1.75)
