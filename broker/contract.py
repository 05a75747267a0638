"""Topics and payloads on the wire: ``pumasi/1/<community>/<meter>/<what>``.

Decoding is strict: unknown members, wrong types, NaN and numbers in quotes are refused. Encoding
keeps the members' order, so ``mac`` can always be added as the last one (``broker.keys.sign``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any

import msgspec

MAX_PAYLOAD_BYTES = 1024
MAX_REGISTER_WH = 2**53 - 1
"""Registers stay exact in every JSON reader."""

_TOPICS_KEPT = 65_536
_IDENTIFIER = re.compile(r"[a-z0-9-]{1,32}")

Register = Annotated[int, msgspec.Meta(ge=0, le=MAX_REGISTER_WH)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
KeyId = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Epoch = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=86_400)]
Outbox = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Mac = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Flag = Annotated[str, msgspec.Meta(pattern=r"^[a-z-]{1,16}\Z")]


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A meter's registers [Wh] at the end of ``[start, start + length)``."""

    v: Annotated[int, msgspec.Meta(ge=1, le=1)]
    kid: KeyId
    outbox: Outbox
    seq: Count
    first: Count
    start: Epoch
    length: Seconds
    import_wh: Register
    export_wh: Register
    generation_wh: Register
    consumption_wh: Register
    flags: Annotated[list[Flag], msgspec.Meta(max_length=8)]
    mac: Mac


class Status(msgspec.Struct, frozen=True):
    """What a meter says of its own health; the last will says ``online`` false and nothing else.

    outbox, dropped: readings that wait, and readings lost before the market had them. refused: how often the meter
    refused what it was sent, by name. kid, config: the key and the version of the configuration that it uses. boots:
    since the flash was made. sensors: "ok", or what is wrong, by role. Nothing is settled by a status, and nothing
    seals it. Unknown members are let through: a newer firmware may say more.
    """

    v: Annotated[int, msgspec.Meta(ge=1, le=1)]
    online: bool
    firmware: str = ""
    rssi: int | None = None
    free_memory: Count = 0
    outbox: Count = 0
    clock_error_ms: int | None = None
    dropped: Count = 0
    refused: Count | dict[str, Count] = 0
    kid: KeyId | None = None
    config: Count | None = None
    boots: Count | None = None
    uptime_s: Count | None = None
    tls: bool | None = None
    sensors: dict[str, str] | None = None


class Ack(msgspec.Struct, frozen=True):
    """Every ``seq`` of ``outbox`` below ``next`` is kept by the market. Sealed by ``sign``."""

    v: int
    kid: int
    outbox: str
    next: int


class Firmware(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed bundle that the hub serves at ``path``; ``size`` [bytes]."""

    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}\Z")]
    path: Annotated[str, msgspec.Meta(pattern=r"^/firmware/[0-9.]{5,17}\Z")]
    size: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a meter shall do from now on; what is absent stays as it is. Sealed by ``sign`` under the key ``kid``.

    The meter applies it when ``version`` is above the one it has applied. ``nonce`` asks it to go on to the key of
    generation ``kid + 1`` (``broker.keys.rotate``). limits [W] are bounds of plausibility, by name.
    """

    v: Annotated[int, msgspec.Meta(ge=1, le=1)]
    kid: KeyId
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    interval_s: Seconds | None = None
    limits: (
        Annotated[dict[str, Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]], msgspec.Meta(max_length=8)] | None
    ) = None
    nonce: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")] | None = None
    firmware: Firmware | None = None
    sensors: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=8)] | None = None
    home_assistant: bool | None = None


class Result(msgspec.Struct, frozen=True):
    """What the household traded in an interval, for the meter's display. Sealed by ``sign``."""

    v: int
    kid: int
    start: int
    length: int
    bought_wh: int
    sold_wh: int
    price_per_kwh: str


class Price(msgspec.Struct, frozen=True):
    """The community's posted price."""

    v: int
    start: int
    length: int
    price_per_kwh: str


def is_identifier(text: str) -> bool:
    """True for what may stand in a topic: 1 to 32 of a-z, 0-9 and the hyphen."""
    return _IDENTIFIER.fullmatch(text) is not None


def topic(community: str, meter: str, what: str) -> str:
    return f"pumasi/1/{community}/{meter}/{what}"


def community_topic(community: str, what: str) -> str:
    return f"pumasi/1/{community}/_{what}"


def user(community: str, meter: str) -> str:
    """The broker user and client id of a meter; access rules name community and meter by it."""
    return f"{community}/{meter}"


def market_user(community: str) -> str:
    return f"{community}/_market"


def reader_user(community: str) -> str:
    """Whoever checks what the market publishes to everybody."""
    return f"{community}/_reader"


@lru_cache(_TOPICS_KEPT)
def parse_topic(name: str) -> tuple[str, str, str] | None:
    """(community, meter, what) of a meter's topic, or None when it is not one."""
    parts = name.split("/")
    if len(parts) != 5 or parts[:2] != ["pumasi", "1"]:
        return None
    community, meter, what = parts[2:]
    if not (is_identifier(community) and is_identifier(meter)):
        return None
    return community, meter, what
