"""Simulated meters: the firmware itself in MicroPython's unix port, or the light fleet in one process."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.contract import user
from firmware.host.street import Home, Street

DEVICE = Path(__file__).parents[1] / "device"
HEAP_BYTES = 200_000
"""What 100 KB of heap on an ESP32 are on a machine with words of 64 bits."""


@dataclass(frozen=True)
class Identity:
    """What a meter is given when it is provisioned."""

    community: str
    meter: str
    kid: int
    key: bytes
    password: str


def unix_port() -> Path | None:
    """The MicroPython unix port: beside this Python, or on the PATH; None when it or the firmware is not here."""
    if not (DEVICE / "main.py").exists():
        return None
    beside = Path(sys.executable).parent / "micropython"
    if beside.exists():
        return beside
    found = shutil.which("micropython")
    return Path(found) if found else None


def meter_command(port: Path) -> list[str]:
    """The command that runs the firmware; its working directory is the meter's flash."""
    return [str(port), "-X", f"heapsize={HEAP_BYTES}", str(DEVICE / "main.py")]


def make_flash(directory: Path, identity: Identity, home: Home, street: Street, host: str, port: int) -> None:
    """Fill a new meter's flash: its configuration (mode 0600) and the profile its simulated sensor replays."""
    directory.mkdir(parents=True)
    config = {
        "community": identity.community,
        "meter": identity.meter,
        "kid": identity.kid,
        "key": identity.key.hex(),
        "interval_s": street.step_s,
        "broker": {
            "host": host,
            "port": port,
            "user": user(identity.community, identity.meter),
            "password": identity.password,
        },
        "clock": "conductor",
        "sensor": {"driver": "simulated", "profile": "profile.txt"},
        "wifi": None,
    }
    write_private(directory / "config.json", json.dumps(config))
    steps = zip(home.load_w, home.generation_w, strict=True)
    lines = [f"{street.start} {street.step_s}", *(f"{load_w} {generation_w}" for load_w, generation_w in steps)]
    (directory / "profile.txt").write_text("\n".join(lines) + "\n")


def light_command(fleet: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "firmware.host.light", str(fleet)]


def light_fleet_file(
    path: Path, identities: Mapping[str, Identity], homes: Sequence[Home], street: Street, host: str, port: int
) -> None:
    """Write what the light fleet needs to know of its meters (mode 0600: it holds their keys)."""
    meters = [
        {
            "community": identity.community,
            "meter": identity.meter,
            "kid": identity.kid,
            "key": identity.key.hex(),
            "user": user(identity.community, identity.meter),
            "password": identity.password,
            "load_w": home.load_w,
            "generation_w": home.generation_w,
        }
        for home in homes
        for identity in (identities[home.meter],)
    ]
    document = {
        "broker": {"host": host, "port": port},
        "interval_s": street.step_s,
        "profile_start": street.start,
        "step_s": street.step_s,
        "meters": meters,
    }
    write_private(path, json.dumps(document))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
