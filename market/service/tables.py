"""The record as tables for accounting and the operator: transfers, readings, positions, bills. One row at a time.

Columns are stable: new ones are added at the end. Times are epoch seconds, energy is Wh, money Wh x tick; whoever
writes them out says them in the form of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from market.record import Gate, Record
from market.service.months import NEWEST, closed_months, month_body
from market.settlement.interval import Position

TEXT, WHOLE, MONEY, TIME, YES_NO = "text", "whole", "money", "time", "yes-no"
Column = tuple[str, str]
"""A column's name and kind."""
Row = tuple[Any, ...]

GATE: tuple[Column, ...] = (("kind", TEXT), ("start", TIME), ("length_s", WHOLE), ("revision", WHOLE))
ENERGIES = ("import_wh", "export_wh", "generation_wh", "consumption_wh")


@dataclass(frozen=True)
class Table:
    """``rows`` yields what began in [start, end) [epoch s], in order."""

    columns: tuple[Column, ...]
    rows: Callable[[Record, int, int], Iterator[Row]]


class _Households(msgspec.Struct):
    households: list[Position]


def _transfers(record: Record, start: int, end: int) -> Iterator[Row]:
    """Every transfer of every revision, in the order of the ledger."""
    for gate in _gates(record, start, end, None):
        for one in record.transfers(gate.number):
            yield (*_of(gate), gate.closed_at, one.id, one.debit, one.credit, one.amount, one.reason)


def _readings(record: Record, start: int, end: int) -> Iterator[Row]:
    """Every stored reading in the order of arrival: registers at the interval's end."""
    for meter, reading, _ in record.payloads():
        if start <= reading.start < end:
            registers = (getattr(reading, name) for name in ENERGIES)
            yield (meter, reading.start, reading.length, *registers, reading.outbox, reading.seq)


def _positions(record: Record, start: int, end: int) -> Iterator[Row]:
    """Every household in every interval, by the interval's newest revision."""
    decoder = msgspec.json.Decoder(_Households)
    newest = {gate.start: gate for gate in _gates(record, start, end, "interval")}
    for _, gate in sorted(newest.items()):
        for position in decoder.decode(record.result(gate.number)).households:
            energies = (getattr(position, name) for name in (*ENERGIES, "bought_wh", "sold_wh"))
            money = (position.trade_money, position.residual_money, position.alone_money)
            yield (gate.start, gate.length, gate.revision, position.household, position.heard, *energies, *money)


def _bills(record: Record, start: int, end: int) -> Iterator[Row]:
    """Every line of every bill, by the month's newest revision; a bill's rows but those alone add up to its total."""
    for month in closed_months(record):
        gate, rules, result = month_body(record, month)
        if start <= gate.start < end:
            for bill in result["bills"]:
                for section, line, detail, account, energy_wh, money in _lines(bill):
                    head = (result["month"], gate.revision, bill["household"], bill["tariff"], section)
                    yield (*head, line, detail, account, energy_wh, money, rules.currency)


def _lines(bill: dict[str, Any]) -> Iterator[tuple[str, str, str, str, int | None, int]]:
    for section in ("own", "alone"):
        for line in bill[section]["lines"]:
            yield section, line["name"], line["detail"], line["account"], line["energy_wh"], line["money"]
    trades = bill["trades"]
    for name, energy_wh, money in (
        ("bought", bill["bought_wh"], trades["bought"]),
        ("sold", bill["sold_wh"], -trades["sold"]),
        ("received", bill.get("received_wh"), -trades.get("received", 0)),
        ("given", bill.get("given_wh"), trades.get("given", 0)),
        ("fees", None, trades["fees"]),
        ("rounding", None, trades["rounding"]),
    ):
        if name not in ("received", "given") or energy_wh:
            yield "trades", name, "", "network" if name == "fees" else "pool", energy_wh, money
    yield "true-up", "true-up", "", "pool", None, -bill["true_up"]


def _gates(record: Record, start: int, end: int, kind: str | None) -> Iterator[Gate]:
    return (gate for gate in record.gates(kind=kind) if start <= gate.start < end)


def _of(gate: Gate) -> tuple[str, int, int, int]:
    return gate.kind, gate.start, gate.length, gate.revision


def zone_of(record: Record) -> ZoneInfo:
    """The community's time zone."""
    return ZoneInfo(record.rules(record.input_versions(NEWEST)).timezone)


TABLES = {
    "transfers": Table(
        (
            *GATE, ("closed_at", TIME), ("id", TEXT), ("debit", TEXT), ("credit", TEXT), ("amount", MONEY),
            ("reason", TEXT),
        ),
        _transfers,
    ),
    "readings": Table(
        (
            ("meter", TEXT), ("start", TIME), ("length_s", WHOLE), *((name, WHOLE) for name in ENERGIES),
            ("outbox", TEXT), ("seq", WHOLE),
        ),
        _readings,
    ),
    "positions": Table(
        (
            ("start", TIME), ("length_s", WHOLE), ("revision", WHOLE), ("household", TEXT), ("heard", YES_NO),
            *((name, WHOLE) for name in (*ENERGIES, "bought_wh", "sold_wh")),
            ("trade", MONEY), ("residual", MONEY), ("alone", MONEY),
        ),
        _positions,
    ),
    "bills": Table(
        (
            ("month", TEXT), ("revision", WHOLE), ("household", TEXT), ("tariff", TEXT), ("section", TEXT),
            ("line", TEXT), ("detail", TEXT), ("account", TEXT), ("energy_wh", WHOLE), ("amount", MONEY),
            ("currency", TEXT),
        ),
        _bills,
    ),
}  # fmt: skip
