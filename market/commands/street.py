"""A simulated street's parts, started as children: what ``pumasi demo`` and ``pumasi fleet`` have in common."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from broker.contract import market_user, user
from broker.keys import derive_key, master_key
from firmware.host.community import community_document
from firmware.host.conductor import Child, Children
from firmware.host.faults import Plan
from firmware.host.fleet import Identity, light_command, light_fleet_file, make_flash, meter_command, unix_port
from firmware.host.street import Street
from market.commands.community import begin_community, read_community
from market.record import Record
from market.service.market import MASTER_KEY_FILE

COMMUNITY = "rural3"
PUMASI = (sys.executable, "-P", "-m", "market.commands")
LOOPBACK = "127.0.0.1"
FLASHES = "meters"
"""The folder of a store in which every firmware meter's flash lies."""
LIGHT_FLEET = "light-fleet"


def begin_store(store: Path, street: Street) -> dict[str, Identity]:
    """A new record with the street's community in it; the identities of its meters."""
    community = store / "community.json"
    community.write_text(json.dumps(community_document(street, COMMUNITY), indent=1) + "\n")
    record = Record(store)
    begin_community(record, read_community(community), community)
    record.close()
    master = master_key(store / MASTER_KEY_FILE)
    return {
        home.meter: Identity(
            COMMUNITY, home.meter, 1, derive_key(master, COMMUNITY, home.meter, 1), secrets.token_urlsafe(16)
        )
        for home in street.homes
    }


def broker_accounts(identities: Mapping[str, Identity]) -> dict[str, str]:
    """user -> password, of the meters and the market."""
    accounts = {user(COMMUNITY, meter): identity.password for meter, identity in identities.items()}
    return accounts | {market_user(COMMUNITY): secrets.token_urlsafe(16)}


def start_market(children: Children, store: Path, port: int, password: str, grace_s: float) -> Child:
    """The market, under the conductor's clock."""
    return children.start(
        "market",
        [
            *(*PUMASI, "market", "run", "--store", str(store)),
            *("--broker", f"{LOOPBACK}:{port}", "--grace", str(grace_s), "--clock", "conductor"),
        ],
        environment={**os.environ, "PUMASI_BROKER_PASSWORD": password},
    )


def start_meters(
    children: Children,
    store: Path,
    street: Street,
    identities: Mapping[str, Identity],
    port: int,
    real: int,
    say: Callable[[str], None],
    plan: Plan | None = None,
) -> list[Child]:
    """Firmware processes for the first ``real`` homes, the light fleet for the rest."""
    plan = plan or Plan()
    micropython = unix_port()
    if micropython is None and real:
        say("no MicroPython unix port here, or no firmware: the light fleet stands in for it, by the same contract")
        real = 0
    meters = []
    for home in street.homes[:real]:
        assert micropython is not None
        flash = store / FLASHES / home.meter
        make_flash(
            flash, identities[home.meter], home, street, LOOPBACK, port, reversed_ct=home.meter in plan.reversed_ct
        )
        meters.append(children.start(home.meter, meter_command(micropython), directory=flash))
        meters[-1].drift_ppm = plan.drift_ppm.get(home.meter, 0)
    if real < len(street.homes):
        fleet = store / f"{LIGHT_FLEET}.json"
        pairs = [(identities[home.meter], home) for home in street.homes[real:]]
        light_fleet_file(fleet, pairs, street, LOOPBACK, port, plan=plan)
        meters.append(children.start(LIGHT_FLEET, light_command(fleet)))
    say(f"meters: {real} run the firmware, {len(street.homes) - real} the light fleet")
    return meters
