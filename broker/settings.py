"""What the market tells each meter by its retained ``config`` message, and the version that only rises.

One private file, STORE/broker/settings.json: members for every meter, and members for single ones, which win. Who
changes it (``pumasi firmware offer``, ``pumasi meter rotate``) counts a version up; the market publishes what changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from broker import site
from broker.contract import MAX_PAYLOAD_BYTES, Config, topic
from broker.keys import sign
from broker.private_files import held, make_private_folder, write_private
from broker.site import SiteError, reason

FILE_NAME = "settings.json"
MEMBERS = frozenset({"interval_s", "limits", "firmware", "sensors", "home_assistant"})
"""What a config message may say beside its version and the key's nonce."""
_MAC_BYTES = len(',"mac":""') + 64


class Part(msgspec.Struct, frozen=True):
    """Members, and the version [of the file] in which they changed last."""

    version: int = 0
    members: dict[str, Any] = {}


class Settings(msgspec.Struct, frozen=True):
    version: int = 0
    all: Part = Part()
    meters: dict[str, Part] = {}

    def of(self, meter: str) -> Part:
        """What holds for the meter; version 0 when nothing was ever said to it."""
        own = self.meters.get(meter, Part())
        return Part(max(self.all.version, own.version), self.all.members | own.members)


def path(store: Path) -> Path:
    return site.directory(store) / FILE_NAME


def load(store: Path) -> Settings:
    """What is stored; empty where nothing is. Raises SiteError."""
    try:
        return msgspec.json.decode(path(store).read_bytes(), type=Settings)
    except FileNotFoundError:
        return Settings()
    except (OSError, msgspec.DecodeError) as error:
        raise SiteError(f"{path(store)}: {reason(error)}") from None


def change(store: Path, meter: str | None, **members: Any) -> int:
    """Set members for the meter (None: for all); one given as None is taken out. Returns the new version.

    The version rises also when nothing changes: that offers the meter once more what it should do. Raises SiteError
    for a member that meters do not know, or when the message would be longer than the contract allows.
    """
    unknown = set(members) - MEMBERS
    if unknown:
        raise SiteError(f"settings: {', '.join(sorted(unknown))}: no member of a config message")
    make_private_folder(site.directory(store))
    with held(site.directory(store) / "settings.lock"):
        before = load(store)
        version = before.version + 1
        part = before.all if meter is None else before.meters.get(meter, Part())
        merged = {name: value for name, value in (part.members | members).items() if value is not None}
        new = Part(version, merged)
        after = (
            msgspec.structs.replace(before, version=version, all=new)
            if meter is None
            else msgspec.structs.replace(before, version=version, meters=before.meters | {meter: new})
        )
        for name in {*after.meters, ""} if meter is None else {meter}:
            _check(name, after.of(name))
        write_private(path(store), msgspec.json.encode(after))
    return version


def config_message(
    part: Part, community: str, meter: str, kid: int, key: bytes, nonce: str | None
) -> tuple[str, bytes] | None:
    """(topic, sealed payload) that tells the meter its settings, under the key it has; None when there are none.

    `nonce` asks it to go on to the key of generation ``kid + 1``.
    """
    if part.version == 0:
        return None
    name = topic(community, meter, "config")
    return name, sign(key, name, _body(part, kid, nonce))


def _body(part: Part, kid: int, nonce: str | None) -> bytes:
    members = {"v": 1, "kid": kid, "version": part.version, "nonce": nonce, **part.members}
    return msgspec.json.encode(msgspec.convert(members, Config))


def _check(meter: str, part: Part) -> None:
    """SiteError unless the members are a config message of at most 1 KiB, a nonce included."""
    try:
        length = len(_body(part, 2**31 - 1, "0" * 32)) + _MAC_BYTES
    except msgspec.ValidationError as error:
        raise SiteError(f"settings: {error}") from None
    if length > MAX_PAYLOAD_BYTES:
        whose = f"of {meter}" if meter else "of every meter"
        raise SiteError(
            f"settings: the config message {whose} would be {length} bytes; {MAX_PAYLOAD_BYTES} are allowed"
        )
