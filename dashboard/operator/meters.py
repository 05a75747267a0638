"""The meters as they say they are and as they were heard: who is silent, late, estimated, or needs a look."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from broker import enrolment, identities
from broker.site import SiteError, directory
from dashboard.access import Problem
from dashboard.operator.table import ROWS, Cell, Table, place, table
from dashboard.site import Site
from market.record import Correction, MeterStatus, Record
from market.settlement.rules import Member, Meter, Rules

Show = Literal["all", "attention", "silent", "offline", "estimated"]
SHOWS: tuple[Show, ...] = ("all", "attention", "silent", "offline", "estimated")
LOOK_BACK_S = 30 * 86_400
CLOCK_BOUND_MS = 2_000
CLOSABLE_S = 300
"""By then an interval that has ended is closed even when a meter was missing."""
OUTBOX_BOUND = 96
"""A meter that holds more unsent readings is not getting rid of them."""


@dataclass(frozen=True, slots=True)
class MeterView:
    """A meter of the community. ``heard_start`` is the newest interval it was heard of, ``missing`` how many of the
    closed ones since then were not; what it said of its own health is None where it said nothing.

    ``state`` is what it said last; a meter that never said anything is unknown, or new while no reading came either.
    ``reasons`` name what needs a look: silent, new (no reading came, though one was due), offline, estimated, clock,
    outbox, firmware.
    """

    meter: str
    household: str
    name: str
    node: str
    state: Literal["online", "offline", "unknown", "new"]
    said_at: int | None
    heard_start: int | None
    missing: int
    estimated: int
    firmware: str | None
    clock_error_ms: int | None
    rssi: int | None
    outbox: int | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetersView:
    """The meters of ``page`` among those shown; ``counts`` says how many each filter would show."""

    show: Show
    query: str
    newest_start: int | None
    length: int
    counts: dict[str, int]
    meters: tuple[MeterView, ...]
    page: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class Identity:
    """A meter's right to send: no-broker, unknown, label-needed, may-enrol, handed-over or revoked."""

    state: str
    key: int | None
    created_at: int | None
    enrol_until: int | None
    revoked_at: int | None


@dataclass(frozen=True, slots=True)
class MeterPage:
    """One meter: what it said last, its readings as settled, and its corrections, the newest first."""

    meter: MeterView
    since: int
    length: int
    identity: Identity
    said: dict[str, str]
    readings: Table
    corrections: Table


def every_meter(site: Site) -> tuple[list[MeterView], int | None]:
    """All meters by name, and the start of the newest closed interval."""
    record, rules = site.record.read(), site.record.rules()
    last = record.last_gate()
    newest = None if last is None else last.start
    heard, statuses = record.last_heard(), record.statuses()
    estimated = {} if newest is None else record.estimated_meters(newest - LOOK_BACK_S, newest + 1)
    firmware, now = _newest_firmware(statuses), int(site.clock())
    found = [
        _view(rules, member, meter, newest, heard.get(meter.meter), statuses.get(meter.meter), estimated, firmware, now)
        for member in rules.members
        for meter in member.meters
    ]
    return sorted(found, key=lambda one: one.meter), newest


def meters_view(site: Site, show: Show, query: str, page: int) -> MetersView:
    """Those that need a look first."""
    found, newest = every_meter(site)
    asked = query.strip().casefold()
    found = [one for one in found if asked in f"{one.meter} {one.household} {one.name} {one.node}".casefold()]
    shown = [one for one in found if _shown(one, show)]
    shown.sort(key=lambda one: (not one.reasons, one.meter))
    page, pages = place(len(shown), page)
    return MetersView(
        show=show,
        query=query.strip(),
        newest_start=newest,
        length=site.record.community().interval_s,
        counts={name: sum(_shown(one, name) for one in found) for name in SHOWS},
        meters=tuple(shown[(page - 1) * ROWS : page * ROWS]),
        page=page,
        pages=pages,
        total=len(shown),
    )


def meter_page(site: Site, meter: str) -> MeterPage:
    """Raises Problem when the community has no such meter."""
    rules = site.record.rules()
    own = [(member, one) for member in rules.members for one in member.meters if one.meter == meter]
    if not own:
        raise Problem(404, "no-meter", "the community has no such meter")
    _, entry = own[0]
    found, newest = every_meter(site)
    view = next(one for one in found if one.meter == meter)
    status = site.record.read().statuses().get(meter)
    return MeterPage(
        meter=view,
        since=entry.since,
        length=rules.interval_s,
        identity=identity_of(site, meter),
        said={} if status is None else {name: _said(value) for name, value in sorted(status.said.items())},
        readings=_readings(site, meter, newest, rules.interval_s),
        corrections=_corrections(site.record.read(), meter),
    )


def identity_of(site: Site, meter: str) -> Identity:
    """What the store's broker knows of the meter."""
    if not directory(site.store).joinpath("broker.json").exists():
        return Identity("no-broker", None, None, None, None)
    if not identities.exists(site.store, meter):
        return Identity("unknown", None, None, None, None)
    try:
        found = identities.load(site.store, meter)
        until = enrolment.open_until(site.store, int(time.time())).get(meter)
    except SiteError as error:
        raise Problem(503, "no-broker", str(error)) from None
    state = (
        "revoked"
        if found.revoked_at is not None
        else "handed-over"
        if found.handed_over_at is not None
        else "label-needed"
        if until is None
        else "may-enrol"
    )
    return Identity(state, found.kid, found.created_at, until, found.revoked_at)


def _shown(one: MeterView, show: Show) -> bool:
    return {
        "all": True,
        "attention": bool(one.reasons),
        "silent": "silent" in one.reasons,
        "offline": one.state == "offline",
        "estimated": one.estimated > 0,
    }[show]


def _view(
    rules: Rules,
    member: Member,
    meter: Meter,
    newest: int | None,
    heard: int | None,
    status: MeterStatus | None,
    estimated: Mapping[str, int],
    firmware: list[int],
    now: int,
) -> MeterView:
    said: dict[str, Any] = {} if status is None else status.said
    first = meter.since if heard is None else max(meter.since, heard + rules.interval_s)
    missing = 0 if newest is None else max(0, (newest - first) // rules.interval_s + 1)
    count = estimated.get(meter.meter, 0)
    clock, outbox, own = said.get("clock_error_ms"), said.get("outbox"), said.get("firmware") or None
    reasons = [
        name
        for name, true in (
            ("silent", missing > 0),
            ("new", heard is None and now >= meter.since + rules.interval_s + CLOSABLE_S),
            ("offline", status is not None and not status.online),
            ("estimated", count > 0),
            ("clock", clock is not None and abs(clock) > CLOCK_BOUND_MS),
            ("outbox", outbox is not None and outbox > OUTBOX_BOUND),
            ("firmware", own is not None and _version(own) < firmware),
        )
        if true
    ]
    return MeterView(
        meter=meter.meter,
        household=member.household,
        name=member.name,
        node=rules.nodes[member.node],
        state=_state(status, heard),
        said_at=None if status is None else status.received_at,
        heard_start=heard,
        missing=missing,
        estimated=count,
        firmware=own,
        clock_error_ms=clock,
        rssi=said.get("rssi"),
        outbox=outbox,
        reasons=tuple(reasons),
    )


def _state(status: MeterStatus | None, heard: int | None) -> Literal["online", "offline", "unknown", "new"]:
    if status is None:
        return "new" if heard is None else "unknown"
    return "online" if status.online else "offline"


def _newest_firmware(statuses: Mapping[str, MeterStatus]) -> list[int]:
    """The highest version that any meter runs."""
    return max((_version(str(status.said.get("firmware", ""))) for status in statuses.values()), default=[])


def _version(text: str) -> list[int]:
    """The numbers of "0.10.0", or of "0.10.0-test", in their order."""
    return [int(part) for part in re.findall("[0-9]{1,9}", text)[:3]]


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_said(one)}" for name, one in sorted(value.items())) or "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _readings(site: Site, meter: str, newest: int | None, length: int) -> Table:
    columns = ["start_at", "import_wh", "export_wh", "generation_wh", "consumption_wh", "revision"]
    points = [] if newest is None else site.series.readings(meter, newest - 47 * length, newest + 1)
    rows = [
        [p.start, p.import_wh, p.export_wh, p.generation_wh, p.consumption_wh, p.revision] for p in reversed(points)
    ]
    return table(columns, rows, 1)


def _corrections(record: Record, meter: str) -> Table:
    found = record.corrections_of(meter, 0, 2**62)
    return correction_table(found[::-1])


def correction_table(found: Sequence[Correction]) -> Table:
    """Corrections and estimates as they are shown."""
    columns = ["number", "meter", "start_at", "import_wh", "export_wh", "generation_wh", "consumption_wh"]
    columns += ["reason", "author", "stored_at"]
    rows: list[list[Cell]] = [
        [one.number, one.meter, one.start, *one.registers, one.reason, one.author, one.stored_at] for one in found
    ]
    return table(columns, rows, 1)
