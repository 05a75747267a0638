"""Changes to the members of a community document: a meter more, the next key, another device."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from market.service.keys import Known
from market.settlement.rules import Registers

NONCE_BYTES = 16


class MembersError(ValueError):
    """The members cannot be changed as asked; the message is one line that says what and why."""


def meters(document: Mapping[str, Any]) -> dict[str, str]:
    """Meter -> household."""
    return {meter["meter"]: member["household"] for member in document["members"] for meter in member["meters"]}


def meter(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The meter's own entry, to be changed in place. Raises MembersError."""
    for member in document["members"]:
        for entry in member["meters"]:
            if entry["meter"] == name:
                found: dict[str, Any] = entry
                return found
    raise MembersError(f"{name}: no meter of this community; give it to a household: pumasi meter add --household")


def add_meter(
    document: Mapping[str, Any], name: str, household: str, key: Known, since: int, registers: Registers
) -> None:
    """Give the household a meter that counts from ``since`` [epoch s] and these registers. Raises MembersError."""
    for member in document["members"]:
        if member["household"] == household:
            seed = {register: value for register, value in registers._asdict().items() if value}
            nonces = {"nonces": {str(kid): nonce for kid, nonce in key.nonces.items()}} if key.nonces else {}
            member["meters"].append({"meter": name, "kid": key.kid, "since": since, **nonces, **seed})
            return
    known = ", ".join(member["household"] for member in document["members"][:5])
    raise MembersError(
        f"--household {household}: no household of this community (it has {known}, …); a new one needs --node and"
        " --tariff"
    )


def add_household(
    document: Mapping[str, Any], household: str, node: str, tariff: str, name: str | None, *, generates: bool = False
) -> None:
    """A new member, still without a meter. Raises MembersError when there is one of that name."""
    if any(member["household"] == household for member in document["members"]):
        raise MembersError(f"--household {household}: is a member already; --node and --tariff are for a new one")
    named: dict[str, Any] = {} if name is None else {"name": name}
    if generates:
        named["generates"] = True
    document["members"].append({"household": household, "node": node, "tariff": tariff, "meters": [], **named})


def next_key(document: Mapping[str, Any], name: str) -> tuple[int, str]:
    """Let the meter's next key follow from the present one; returns its number and nonce. Raises MembersError."""
    entry = meter(document, name)
    nonce = secrets.token_hex(NONCE_BYTES)
    entry["kid"] += 1
    entry["nonces"] = {**entry.get("nonces", {}), str(entry["kid"]): nonce}
    return entry["kid"], nonce


def fresh_key(document: Mapping[str, Any], name: str) -> int:
    """Let the meter have a key that owes nothing to the present one; returns its number. Raises MembersError.

    The nonces of older keys stay: what was sealed with those is checked with them.
    """
    entry = meter(document, name)
    entry["kid"] += 1
    return int(entry["kid"])


def take_out(document: Mapping[str, Any], name: str) -> str:
    """Take the meter from its household, whose name is returned. Raises MembersError."""
    entry = meter(document, name)
    member = next(member for member in document["members"] if entry in member["meters"])
    member["meters"].remove(entry)
    return str(member["household"])
