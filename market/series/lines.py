"""Points as InfluxDB line protocol and InfluxQL; text in, text out, no connection.

Source: InfluxDB line protocol and InfluxQL reference, the subset common to 1.x, 2.x and 3.
Tags: community, household, partner, node, meter, length. Fields: integers only. Timestamps: seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

from market.series.points import (
    CommunityPoint,
    FlowPoint,
    HealthPoint,
    HouseholdPoint,
    PartnerPoint,
    Point,
    ReadingPoint,
    SeriesError,
)

MEASUREMENT: dict[type[Point], str] = {
    HouseholdPoint: "pumasi_household",
    CommunityPoint: "pumasi_community",
    PartnerPoint: "pumasi_partner",
    FlowPoint: "pumasi_flow",
    ReadingPoint: "pumasi_reading",
    HealthPoint: "pumasi_health",
}
LATEST = 9_223_372_036
"""The last whole second a 64-bit count of nanoseconds can name."""
UNPRICED = -(2**30)
"""No price is this: what takes an earlier revision's place where nothing bounds the price any more."""
HOURS = "hours"
"""The retention policy of hourly sums, and the end of their measurements' names; fields are called as in the series."""
SUMMED: dict[type[Point], tuple[str, ...]] = {
    HouseholdPoint: (
        "import_wh", "export_wh", "generation_wh", "consumption_wh", "bought_wh", "sold_wh", "received_wh", "given_wh",
        "trade_money", "residual_money", "alone_money",
    ),
    CommunityPoint: (
        "energy_traded_wh", "import_wh", "export_wh", "generation_wh", "consumption_wh", "welfare", "fees",
    ),
}  # fmt: skip
_TAGS = ("household", "partner", "node", "meter", "length")
_TAG_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})

P = TypeVar("P", HouseholdPoint, CommunityPoint, PartnerPoint, FlowPoint, ReadingPoint, HealthPoint)


def tag_names(kind: type[Point]) -> list[str]:
    """The tags of a kind of point, without the community."""
    return [f.name for f in fields(kind) if f.name in _TAGS]


def field_names(kind: type[Point]) -> list[str]:
    """The integer fields of a kind of point."""
    return [f.name for f in fields(kind) if f.name not in _TAGS and f.name != "start"]


def written(rows: Iterable[Point], community: str) -> list[str]:
    """A line for each point; every field is a 64-bit integer, and one that is None is left out.

    In a later revision it is UNPRICED: a field that is left out keeps the value it has in the database.
    """
    made = []
    for point in rows:
        unpriced = False
        if isinstance(point, FlowPoint) and point.price_ticks is None:
            unpriced = not point.revision
            point = point if unpriced else replace(point, price_ticks=UNPRICED)
        form, values, tags, heads = _form(type(point), community, unpriced)  # type: ignore[arg-type]  # classes can be hashed
        found = values(point)
        named = found[:tags]
        head = heads.get(named)
        if head is None:
            head = heads[named] = _head(type(point), community, named)
        made.append(head + form % found[tags:])
    return made


Values = Callable[[Point], tuple[Any, ...]]


@lru_cache(maxsize=64)
def _form(kind: type[Point], community: str, unpriced: bool) -> tuple[str, Values, int, dict[tuple[Any, ...], str]]:
    """A line's fields with gaps, what fills these after the tags, how many tags, and the lines' beginnings by tags.

    Tags come again in every interval: as many beginnings are kept as the database has series.
    """
    tags = tag_names(kind)
    names = [name for name in field_names(kind) if not (unpriced and name == "price_ticks")]
    return " " + ",".join(f"{name}=%di" for name in names) + " %d", attrgetter(*tags, *names, "start"), len(tags), {}


def _head(kind: type[Point], community: str, named: tuple[Any, ...]) -> str:
    tags = zip(tag_names(kind), named, strict=True)
    return f"{MEASUREMENT[kind]},community={_tag(community)}" + "".join(f",{name}={_tag(tag)}" for name, tag in tags)


def select(kind: type[Point], community: str, start: int, end: int, **tags: str) -> str:
    """InfluxQL for the points of one kind with `start <= time < end` and the given tags."""
    start, end = (min(max(moment, -LATEST), LATEST) for moment in (start, end))
    columns = ", ".join(f'"{name}"' for name in [*field_names(kind), *tag_names(kind)])
    conditions = " AND ".join(
        [f'"{name}" = {_text(value)}' for name, value in {"community": community, **tags}.items()]
        + [f"time >= {start}s", f"time < {end}s"]
    )
    return f'SELECT {columns} FROM "{MEASUREMENT[kind]}" WHERE {conditions}'


def delete(kind: type[Point], community: str) -> str:
    """InfluxQL that removes all points of one kind of a community."""
    return f'DELETE FROM "{MEASUREMENT[kind]}" WHERE "community" = {_text(community)}'


def oldest(community: str) -> str:
    """InfluxQL for the first interval that the database still holds of a community."""
    return f"{select(CommunityPoint, community, -LATEST, LATEST)} ORDER BY time LIMIT 1"


def hourly(database: str, kind: type[Point], where: str = "") -> str:
    """InfluxQL that sums the points of one kind by the hour: all communities' of all time, or those of ``where``."""
    measurement, place = MEASUREMENT[kind], name(database)
    sums = ", ".join(f'sum("{field}") AS "{field}"' for field in SUMMED[kind])
    tags = ", ".join(f'"{tag}"' for tag in ["community", *tag_names(kind)])
    return (
        f'SELECT {sums} INTO {place}."{HOURS}"."{measurement}_{HOURS}" FROM {place}."autogen"."{measurement}" '
        f"{where}GROUP BY time(1h), {tags}"
    )


def within(community: str, start: int, end: int) -> str:
    """``hourly``'s condition for one community and the hours `start <= time < end`."""
    return f'WHERE "community" = {_text(community)} AND time >= {start}s AND time < {end}s '


def name(text: str) -> str:
    """A quoted InfluxQL identifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def points(kind: type[P], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[P]:
    """Points from an InfluxQL answer with `epoch=s`."""
    for row in rows:
        found = dict(zip(columns, row, strict=True))
        found["start"] = found.pop("time")
        found["length"] = int(found["length"])
        if kind is HouseholdPoint:
            found["heard"] = bool(found["heard"])
            # Points from before there were gifts do not have them.
            found |= {name: found[name] or 0 for name in ("received_wh", "given_wh")}
        elif kind is FlowPoint and found["price_ticks"] == UNPRICED:
            found["price_ticks"] = None
        yield kind(**found)


def _tag(value: object) -> str:
    text = str(value)
    if not text or any(character in text for character in "\\\n\r"):
        # Line protocol has no way to write these in a tag.
        raise SeriesError(f"{text!r} cannot be an id in InfluxDB")
    return text.translate(_TAG_ESCAPES)


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "").replace("\r", "")
    return f"'{escaped}'"
