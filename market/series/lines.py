"""Points as InfluxDB line protocol and InfluxQL; text in, text out, no connection.

Source: InfluxDB line protocol and InfluxQL reference, the subset common to 1.x, 2.x and 3.
Tags: community, household, partner, length. Fields: integers only. Timestamps: seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from market.series.points import CommunityPoint, HouseholdPoint, PartnerPoint, Point, SeriesError

MEASUREMENT: dict[type[Point], str] = {
    HouseholdPoint: "pumasi_household",
    CommunityPoint: "pumasi_community",
    PartnerPoint: "pumasi_partner",
}
LATEST = 9_223_372_036
"""The last whole second a 64-bit count of nanoseconds can name."""
_TAGS = ("household", "partner", "length")
_TAG_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})

P = TypeVar("P", HouseholdPoint, CommunityPoint, PartnerPoint)


def tag_names(kind: type[Point]) -> list[str]:
    """The tags of a kind of point, without the community."""
    return [f.name for f in fields(kind) if f.name in _TAGS]


def field_names(kind: type[Point]) -> list[str]:
    """The integer fields of a kind of point."""
    return [f.name for f in fields(kind) if f.name not in _TAGS and f.name != "start"]


def line(point: Point, community: str) -> str:
    """One point as a line; every field is a 64-bit integer."""
    kind = type(point)
    tags = "".join(f",{name}={_tag(getattr(point, name))}" for name in tag_names(kind))
    values = ",".join(f"{name}={int(getattr(point, name))}i" for name in field_names(kind))
    return f"{MEASUREMENT[kind]},community={_tag(community)}{tags} {values} {point.start}"


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


def points(kind: type[P], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[P]:
    """Points from an InfluxQL answer with `epoch=s`."""
    for row in rows:
        found = dict(zip(columns, row, strict=True))
        found["start"] = found.pop("time")
        found["length"] = int(found["length"])
        if kind is HouseholdPoint:
            found["heard"] = bool(found["heard"])
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
