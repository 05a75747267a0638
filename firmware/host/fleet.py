"""Simulated meters: the firmware itself in MicroPython's unix port, or the light fleet in one process."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from broker.contract import user
from broker.private_files import make_private_folder
from firmware.host.faults import Plan
from firmware.host.street import Home, Street

DEVICE = Path(__file__).parents[1] / "device"
HEAP_BYTES = 200_000
"""What 100 KB of heap on an ESP32 are on a machine with words of 64 bits."""


@dataclass(frozen=True)
class Identity:
    """What a meter is given when it is provisioned.

    ``credentials`` are the files ca.der, client.der and client.key.der where it connects by TLS; then it needs no
    password. ``certificate`` is client.der and its key once more, as one PEM text.
    """

    community: str
    meter: str
    kid: int
    key: bytes
    password: str
    credentials: Mapping[str, bytes] = field(default_factory=dict)
    certificate: str = ""


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


def make_flash(
    directory: Path,
    identity: Identity,
    home: Home,
    street: Street,
    host: str,
    port: int,
    *,
    clock: Literal["conductor", "ntp"] = "conductor",
    reversed_ct: bool = False,
    interval_s: int | None = None,
) -> None:
    """Fill a new meter's flash: its configuration (mode 0600) and the profile its simulated sensor replays."""
    sensor: dict[str, Any] = {"role": "grid", "driver": "simulated", "profile": "profile.txt"}
    if reversed_ct:
        sensor["reversed"] = True
    make_private_folder(directory)
    tls = bool(identity.credentials)
    config = {
        "version": 1,
        "community": identity.community,
        "meter": identity.meter,
        "kid": identity.kid,
        "key": identity.key.hex(),
        "interval_s": interval_s or street.step_s,
        "broker": {
            "host": host,
            "port": port,
            "tls": tls,
            "user": None if tls else user(identity.community, identity.meter),
            "password": None if tls else identity.password,
        },
        "clock": clock,
        "ntp": [],  # the computer's own clock is right
        "sensors": [sensor],
        "wifi": None,
    }
    write_private(directory / "config.json", json.dumps(config))
    for name, content in identity.credentials.items():
        write_private(directory / name, content)
    steps = zip(home.load_w, home.generation_w, strict=True)
    lines = [f"{street.start} {street.step_s}", *(f"{load_w} {generation_w}" for load_w, generation_w in steps)]
    (directory / "profile.txt").write_text("\n".join(lines) + "\n")


def light_command(fleet: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "firmware.host.light", str(fleet)]


def light_fleet_file(
    path: Path,
    meters: Iterable[tuple[Identity, Home]],
    street: Street,
    host: str,
    port: int,
    *,
    clock: Literal["conductor", "system"] = "conductor",
    plan: Plan | None = None,
    ca: Path | None = None,
    interval_s: int | None = None,
) -> None:
    """Write what the light fleet needs to know of its meters (mode 0600: it holds their keys).

    ``ca``: trust the broker whose certificate this one signs, by TLS.
    """
    plan = plan or Plan()
    settings = [
        {
            "community": identity.community,
            "meter": identity.meter,
            "kid": identity.kid,
            "key": identity.key.hex(),
            "user": user(identity.community, identity.meter),
            "password": identity.password,
            "certificate": _certificate_file(path, identity),
            "load_w": home.load_w,
            "generation_w": home.generation_w,
            "reversed_ct": identity.meter in plan.reversed_ct,
            "drift_ppm": plan.drift_ppm.get(identity.meter, 0),
        }
        for identity, home in meters
    ]
    document = {
        "broker": {"host": host, "port": port, "ca": "" if ca is None else str(ca)},
        "interval_s": interval_s or street.step_s,
        "profile_start": street.start,
        "step_s": street.step_s,
        "clock": clock,
        "meters": settings,
    }
    write_private(path, json.dumps(document))


def _certificate_file(fleet: Path, identity: Identity) -> str:
    """The path of its PEM file beside the fleet's; "" when it has none."""
    if not identity.certificate:
        return ""
    path = fleet.with_name(f"{identity.meter}.pem")
    write_private(path, identity.certificate)
    return str(path)


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
