"""The tariff document: what a person writes, with the type of every member (docs/tariffs.md).

Unknown members are refused, so that a misspelt levy is not silently none. Prices and amounts are decimal text.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec

TariffName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
LineName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]{1,600}\Z")]
Titles = dict[Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}\Z")], Text]
"""What people read, by language: {"en": …, "ko": …}."""
MonthNumber = Annotated[int, msgspec.Meta(ge=1, le=12)]
ClockTime = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z|^24:00\Z")]
Account = Literal["supplier", "network", "state"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday", "weekday", "weekend"]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    pass


class RoundingRule(_Body):
    to: str
    mode: Literal["half-up", "half-even", "floor", "ceiling"] = "half-up"


class Flat(_Body, tag_field="kind", tag="flat"):
    per_kwh: str


class Window(_Body, rename={"begin": "from", "end": "to"}):
    """Local wall clock time; ``to`` at or before ``from`` goes on past midnight, where the next day's kind counts."""

    name: LineName
    per_kwh: str
    begin: ClockTime = "00:00"
    end: ClockTime = "24:00"
    days: Annotated[list[Day], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["weekday", "weekend", "holiday"]
    )
    months: Annotated[list[MonthNumber], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: list(range(1, 13))
    )
    title: Titles = msgspec.field(default_factory=dict)


class TimeOfUse(_Body, tag_field="kind", tag="time-of-use"):
    windows: Annotated[list[Window], msgspec.Meta(min_length=1, max_length=64)]
    holidays: Annotated[list[date], msgspec.Meta(max_length=2000)] = msgspec.field(default_factory=list)


class Prices(_Body):
    start: datetime
    step_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)]
    per_kwh: Annotated[list[str], msgspec.Meta(min_length=1, max_length=200_000)]


class Dynamic(_Body, tag_field="kind", tag="dynamic"):
    """A price series plus a markup; ``otherwise_per_kwh`` where the series has no price."""

    otherwise_per_kwh: str
    markup_per_kwh: str = "0"
    series: list[Prices] = msgspec.field(default_factory=list)


class Block(_Body):
    """Up to and including so many kWh of the month; the last block has no end. ``base`` is due in the highest
    block that the month reaches."""

    per_kwh: str
    up_to_kwh: Annotated[int, msgspec.Meta(gt=0, lt=10**9)] | None = None
    base: str = "0"


class Season(_Body):
    blocks: Annotated[list[Block], msgspec.Meta(min_length=1, max_length=64)]
    months: Annotated[list[MonthNumber], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: list(range(1, 13))
    )


class Blocks(_Body, tag_field="kind", tag="blocks"):
    seasons: Annotated[list[Season], msgspec.Meta(min_length=1, max_length=12)]


class NetMetering(_Body, tag_field="kind", tag="net-metering"):
    """Export is taken off import; what is left over is a credit in kWh for later months."""

    expire_after_months: Annotated[int, msgspec.Meta(ge=0, le=1200)] | None = None
    expire_each_year_after: MonthNumber | None = None
    expired_per_kwh: str = "0"


On = Literal["billed", "supplied", "bought", "import", "fed-in", "sold", "export"]
"""The energy a charge falls on; ``billed`` is net of export and credits under net metering, else ``supplied``."""


class Charge(_Body):
    """A fixed charge (``per_month`` or ``per_day``) or one for each kWh of ``on``."""

    name: LineName
    per_month: str | None = None
    per_day: str | None = None
    per_kwh: str | None = None
    on: On = "billed"
    account: Account = "supplier"
    rounding: RoundingRule | None = None
    title: Titles = msgspec.field(default_factory=dict)


class Minimum(_Body):
    """Energy, base, export and charges come to at least so much a month."""

    per_month: str
    account: Account = "supplier"


class Levy(_Body):
    """A tax or levy: so many percent of the lines named."""

    name: LineName
    percent: str
    base: Annotated[list[LineName], msgspec.Meta(min_length=1)]
    account: Account = "state"
    rounding: RoundingRule | None = None
    title: Titles = msgspec.field(default_factory=dict)


class Reduction(_Body):
    """Of the grid fee, for energy traded within this level of the network, the nearest first."""

    level: LineName
    percent: str


class GridFee(_Body):
    """The network's fee for each kWh; less is due on what neighbours trade, by level."""

    per_kwh: str
    reductions: list[Reduction] = msgspec.field(default_factory=list)
    title: Titles = msgspec.field(default_factory=dict)


class Version(_Body):
    """One row of validity: from its first day up to, and without, ``valid_until``."""

    valid_from: date
    energy: Flat | TimeOfUse | Dynamic | Blocks
    rounding: RoundingRule
    valid_until: date | None = None
    export: Flat | TimeOfUse | Dynamic | NetMetering | None = None
    grid: GridFee | None = None
    charges: Annotated[list[Charge], msgspec.Meta(max_length=64)] = msgspec.field(default_factory=list)
    minimum: Minimum | None = None
    levies: Annotated[list[Levy], msgspec.Meta(max_length=64)] = msgspec.field(default_factory=list)
    source: Text | None = None


class TariffDocument(_Body):
    name: TariffName
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
    timezone: str
    source: Text
    versions: Annotated[list[Version], msgspec.Meta(min_length=1, max_length=1000)]
    title: Titles = msgspec.field(default_factory=dict)


class FlatForm(_Body):
    """The short form in a community's document."""

    retail_per_kwh: str
    feed_in_per_kwh: str
