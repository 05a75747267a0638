"""The community file: what a person writes, with the type and the bounds of every member.

Unknown members are refused, so that a misspelt limit is not silently none. Prices are decimal text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from market.tariffs.document import FlatForm, LineName, TariffDocument

Identifier = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
"""May stand in a topic."""
NodeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]{1,64}\Z")]
KeyNumber = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,9}\Z")]
Nonce = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
EnergyWh = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Node(_Body):
    """``grid_level``: the fee of the edge above follows from the grid fee's reductions (docs/tariffs.md)."""

    node: NodeId
    parent: NodeId | None = None
    limit_wh: EnergyWh | None = None
    fee_per_kwh: str = "0"
    grid_level: LineName | None = None


class Grid(_Body):
    """The level of the grid that all members share, and the tariff whose grid fee makes the fees of further levels."""

    tariff: str
    level: LineName


class Meter(_Body):
    """Counts from the interval that starts at ``since`` [epoch s], from these registers.

    ``nonces``: what the meter was given to draw its next key, by the key's number.
    """

    meter: Identifier
    kid: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    since: Annotated[int, msgspec.Meta(ge=0, lt=2**40)]
    import_wh: EnergyWh = 0
    export_wh: EnergyWh = 0
    generation_wh: EnergyWh = 0
    consumption_wh: EnergyWh = 0
    nonces: Annotated[dict[KeyNumber, Nonce], msgspec.Meta(max_length=64)] = msgspec.field(default_factory=dict)


Homes = Annotated[list[Identifier], msgspec.Meta(max_length=8)]


class Offer(_Body):
    """``prefer`` and ``give`` name other members, first choice first.

    The household trades with the one before all others, and gives its surplus to the other for nothing.
    """

    min_sell_per_kwh: str | None = None
    max_buy_per_kwh: str | None = None
    prefer: Homes = msgspec.field(default_factory=list)
    give: Homes = msgspec.field(default_factory=list)


class Member(_Body):
    household: Identifier
    node: NodeId
    tariff: str
    meters: Annotated[list[Meter], msgspec.Meta(min_length=1, max_length=64)]
    name: Name | None = None
    generates: bool = False
    offer: Offer = msgspec.field(default_factory=Offer)


Days = Annotated[int, msgspec.Meta(ge=0, le=3_650)]


class Deadlines(_Body):
    """Counted from an interval's end; ``bill_after_days`` from a month's, ``final_after_days`` from both."""

    estimate_after_days: Days = 3
    bill_after_days: Days = 5
    final_after_days: Days = 120


class Document(_Body):
    community: Identifier
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
    timezone: str
    interval_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)]
    mechanism: str
    reference: FlatForm
    tariffs: dict[str, Any]
    network: Annotated[list[Node], msgspec.Meta(min_length=1)]
    members: Annotated[list[Member], msgspec.Meta(min_length=1)]
    promise: Literal["interval", "month"] = "interval"
    grid: Grid | None = None
    deadlines: Deadlines | None = None


def bodies_of(document: Any) -> Mapping[str, Any]:
    """The document by kind of input, members and offers apart. Raises ValueError naming the place and the reason."""
    whole = msgspec.to_builtins(msgspec.convert(document, Document))
    members = whole["members"]
    # Members that came later are left out where they say nothing, so that an older store sees no new version.
    later: list[tuple[dict[str, Any], str, object]] = [
        (whole, "promise", "interval"),
        (whole, "grid", None),
        (whole, "deadlines", None),
        *((node, "grid_level", None) for node in whole["network"]),
        *((meter, "nonces", {}) for member in members for meter in member["meters"]),
        *((member["offer"], name, []) for member in members for name in ("prefer", "give")),
    ]
    for body, name, silent in later:
        if body[name] == silent:
            del body[name]
    return {
        "community": {name: whole[name] for name in _COMMUNITY if name in whole},
        "tariffs": {name: tariff_body(name, body) for name, body in whole["tariffs"].items()},
        "network": whole["network"],
        "offers": {member["household"]: member.pop("offer") for member in members},
        "members": members,
    }


def tariff_body(name: str, body: Any) -> Any:
    """A tariff of a community's document, checked in form. Raises ValueError naming it and the reason."""
    if isinstance(body, str):
        raise ValueError(f"tariffs: {name}: {body!r} is only a name; a built-in tariff's content must take its place")
    short = isinstance(body, Mapping) and "versions" not in body
    try:
        return msgspec.to_builtins(msgspec.convert(body, FlatForm if short else TariffDocument))
    except msgspec.ValidationError as error:
        raise ValueError(f"tariffs: {name}: {error}") from None


_COMMUNITY = (
    "community",
    "currency",
    "timezone",
    "interval_s",
    "mechanism",
    "reference",
    "promise",
    "grid",
    "deadlines",
)
