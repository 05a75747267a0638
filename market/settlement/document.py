"""The community file: what a person writes, with the type and the bounds of every member.

Unknown members are refused, so that a misspelt limit is not silently none. Prices are decimal text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

Identifier = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}$")]
"""May stand in a topic."""
NodeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]
EnergyWh = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Tariff(_Body):
    retail_per_kwh: str
    feed_in_per_kwh: str


class Node(_Body):
    node: NodeId
    parent: NodeId | None = None
    limit_wh: EnergyWh | None = None
    fee_per_kwh: str = "0"


class Meter(_Body):
    """Counts from the interval that starts at ``since`` [epoch s], from these registers."""

    meter: Identifier
    kid: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    since: Annotated[int, msgspec.Meta(ge=0, lt=2**40)]
    import_wh: EnergyWh = 0
    export_wh: EnergyWh = 0
    generation_wh: EnergyWh = 0
    consumption_wh: EnergyWh = 0


class Offer(_Body):
    min_sell_per_kwh: str | None = None
    max_buy_per_kwh: str | None = None


class Member(_Body):
    household: Identifier
    node: NodeId
    tariff: str
    meters: Annotated[list[Meter], msgspec.Meta(min_length=1, max_length=64)]
    name: Name | None = None
    generates: bool = False
    offer: Offer = msgspec.field(default_factory=Offer)


class Document(_Body):
    community: Identifier
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
    timezone: str
    interval_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)]
    mechanism: str
    reference: Tariff
    tariffs: dict[str, Tariff]
    network: Annotated[list[Node], msgspec.Meta(min_length=1)]
    members: Annotated[list[Member], msgspec.Meta(min_length=1)]


def bodies_of(document: Any) -> Mapping[str, Any]:
    """The document by kind of input, members and offers apart. Raises ValueError naming the place and the reason."""
    whole = msgspec.to_builtins(msgspec.convert(document, Document))
    members = whole["members"]
    return {
        "community": {name: whole[name] for name in _COMMUNITY},
        "tariffs": whole["tariffs"],
        "network": whole["network"],
        "offers": {member["household"]: member.pop("offer") for member in members},
        "members": members,
    }


_COMMUNITY = ("community", "currency", "timezone", "interval_s", "mechanism", "reference")
