"""The bill as CSV: every figure of the PDF with its parts in columns of their own, for people with a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from market.statements.rows import Row
from market.statements.statement import Statement
from market.tariffs.amounts import money_text
from market.units import decimal_text

COLUMNS = ("section", "what", "how", "energy_kwh", "price_per_kwh", "percent", "of", "amount", "currency")


def csv_text(bill: Statement, body: Mapping[str, Any]) -> str:
    """``body`` is the household's bill as it is stored. Columns and sections are the same in every language."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(bill, body))
    return file.getvalue()


def _rows(bill: Statement, body: Mapping[str, Any]) -> Iterator[list[str]]:
    for name in ("consumption_wh", "generation_wh", "import_wh", "export_wh", "bought_wh", "sold_wh"):
        yield ["energy", name.removesuffix("_wh"), "", kwh_text(body[name]), "", "", "", "", ""]
    for name in ("received_wh", "given_wh"):
        if name in body:
            yield ["energy", name.removesuffix("_wh"), "", kwh_text(body[name]), "", "", "", "", ""]
    for table in bill.tables:
        for row in table.rows:
            yield _row(table.key, row, bill.currency)
    for partner in body["partners"]:
        for way in ("bought", "sold", "received", "given"):
            if partner.get(f"{way}_wh"):
                yield ["partner", _text(partner["household"]), way, kwh_text(partner[f"{way}_wh"]), *[""] * 5]
    for at in ("before", "after"):
        for way in ("own", "alone"):
            for credit in body["credits"][at][way]:
                yield [f"credit {at} {way}", credit["month"], "", kwh_text(credit["energy_wh"]), *[""] * 5]


def _row(section: str, row: Row, currency: str) -> list[str]:
    energy_wh, ticks = row.body.get("energy_wh"), row.body.get("price_ticks")
    rate, of = row.body.get("rate"), row.body.get("of_money")
    return [
        section,
        _text(row.what),
        _text(row.how),
        "" if energy_wh is None else kwh_text(energy_wh),
        "" if ticks is None else decimal_text(ticks),
        "" if rate is None else rate,
        "" if of is None else money_text(of),
        # What is received stands below zero here, where no word goes before it.
        money_text(row.body.get("money", row.money)),
        currency,
    ]


def _text(words: str) -> str:
    """A spreadsheet takes what begins like this for a formula, which may fetch or send things."""
    return f"'{words}" if words.startswith(("=", "+", "-", "@", "\t", "\r")) else words


def kwh_text(energy_wh: int) -> str:
    """Wh as exact decimal kWh."""
    whole, rest = divmod(abs(energy_wh), 1000)
    text = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
    return f"-{text}" if energy_wh < 0 else text
