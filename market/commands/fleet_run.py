"""A fleet in lock step with a broker and a market of its own, and the faults that befall it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from broker.contract import market_user
from broker.private_files import make_private_folder
from broker.run import raise_open_files, start_broker
from firmware.host.account import Account, Registers, Shown, Stored, make_account, read_flash
from firmware.host.conductor import Child, Children, Conductor
from firmware.host.faults import Faults, Plan, clock_error_s
from firmware.host.fleet import unix_port
from firmware.host.injector import LAST_SECOND, Injector
from firmware.host.proxy import Proxy
from firmware.host.street import Street
from market.commands.errors import CommandError
from market.commands.progress import progress_line
from market.commands.street import (
    COMMUNITY,
    FLASHES,
    LIGHT_FLEET,
    LOOPBACK,
    begin_store,
    broker_accounts,
    start_market,
    start_meters,
)
from market.record import Record

READY_S, STEP_TIMEOUT_S, SETTLE_S = 60.0, 180.0, 600.0
STOP_S = 5.0
ASK_S = 120.0


@dataclass(frozen=True)
class Ended:
    """What a run came to: the account, what was injected, and what the market made of the messages."""

    account: Account
    injected: dict[str, int]
    outcomes: dict[str, int]


@dataclass(frozen=True)
class Running:
    """The parts of a run; meters by their id, the light fleet as one under `LIGHT_FLEET`."""

    conductor: Conductor
    children: Children
    meters: dict[str, Child]
    injector: Injector
    say: Callable[[str], None]


def run_fleet(
    store: Path,
    street: Street,
    steps: int,
    faults: Faults,
    plan: Plan,
    *,
    real: bool,
    speed_s: float,
    grace_s: float,
    marker: str,
    say: Callable[[str], None],
) -> Ended:
    """Run the street for so many intervals. Raises CommandError, BrokerError, ConductorError."""
    _make_fresh(store, marker)
    raise_open_files()
    with ExitStack() as stack:
        running = _start(store, street, faults, plan, real, grace_s, say, stack)
        for step in range(1, steps + 1):
            earliest_s = time.monotonic() + speed_s
            running.injector.befall(step)
            for event in running.conductor.step(street.start + step * street.step_s, STEP_TIMEOUT_S):
                if event["event"] == "gate" and event["revision"] == 0 and (step % 4 == 0 or step == steps):
                    say(progress_line(event, UTC))
                elif event["event"] == "notice":
                    say(f"  market: {event['text']}")
            time.sleep(max(0.0, earliest_s - time.monotonic()))
        running.injector.calm()
        _settle(running, store, street, steps)
        shown = what_meters_show(running.children, running.meters, store)
        injected = running.injector.counts()
    return ended(store, account_of(store, len(street.homes) * steps, shown), injected)


def ended(store: Path, account: Account, injected: dict[str, int]) -> Ended:
    record = Record(store, read_only=True)
    try:
        return Ended(account, injected, record.outcomes())
    finally:
        record.close()


def _make_fresh(path: Path, marker: str) -> None:
    """An empty directory, in the place of an earlier run's. Raises CommandError for one that holds something else."""
    if path.exists() and any(path.iterdir() if path.is_dir() else [path]):
        if not (path / marker).is_file() or path.is_symlink():
            raise CommandError(f"--store {path}: holds something that is no fleet's; not touched")
        shutil.rmtree(path)
    make_private_folder(path)
    (path / marker).write_text('{"note": "made by pumasi fleet, replaced by the next"}\n')
    (path / "logs").mkdir()


def _start(
    store: Path,
    street: Street,
    faults: Faults,
    plan: Plan,
    real: bool,
    grace_s: float,
    say: Callable[[str], None],
    stack: ExitStack,
) -> Running:
    identities = begin_store(store, street)
    accounts = broker_accounts(identities)
    broker = start_broker(store / "broker", 0, accounts, COMMUNITY)
    stack.callback(broker.stop)
    proxy = None
    if faults.need_proxy:
        proxy = Proxy(LOOPBACK, broker.port, faults.loss, faults.seed)
        proxy.start()
        stack.callback(proxy.stop)
    children = Children(store / "logs")
    stack.callback(children.end, STOP_S)
    market = start_market(children, store, broker.port, accounts[market_user(COMMUNITY)], grace_s)
    port = broker.port if proxy is None else proxy.port
    meters = start_meters(children, store, street, identities, port, len(street.homes) if real else 0, say, plan)
    say(f"{len(street.homes)} homes of {street.grid}; broker: {broker.kind}; store: {store}")
    slow = [child for child in meters if child.drift_ppm < 0 or child.name == LIGHT_FLEET]
    slowest_s = max((-clock_error_s(ppm, LAST_SECOND) for ppm in plan.drift_ppm.values()), default=0)
    conductor = Conductor(
        market, meters, (), children.said, slow=slow if slowest_s > 0 else (), slowest_s=slowest_s + 1
    )
    conductor.begin(street.start, READY_S + 0.1 * len(street.homes))
    named = {child.name: child for child in meters}
    cut = power_cutter(named)
    injector = Injector(faults, plan, (LOOPBACK, broker.port), proxy, broker, cut, say)
    return Running(conductor, children, named, injector, say)


def power_cutter(meters: Mapping[str, Child]) -> Callable[[str], None]:
    """What cuts the power of a meter, be it a process or one of the light fleet."""

    def cut(meter: str) -> None:
        if meter in meters:
            meters[meter].cut_power()
        else:
            meters[LIGHT_FLEET].tell(f"cut {meter}")

    return cut


def _settle(running: Running, store: Path, street: Street, steps: int) -> None:
    """Until the market has every reading and has said nothing for a while, or the time is up."""
    deadline_s = time.monotonic() + SETTLE_S
    expected = len(street.homes) * steps
    told = 0
    while time.monotonic() < deadline_s:
        said = sum(1 for _ in running.conductor.drain(2.0))
        record = Record(store, read_only=True)
        stored = record.reading_count()
        record.close()
        if stored >= expected and not said:
            return
        if stored < expected and stored != told:
            told = stored
            running.say(f"  {expected - stored} readings are still with the meters")
    running.say(f"  after {SETTLE_S:.0f} s the market still lacks readings")


def what_meters_show(children: Children, meters: Mapping[str, Child], store: Path) -> list[Shown]:
    """What every meter shows at this moment; they may go on."""
    light: list[Shown] = []
    if LIGHT_FLEET in meters:
        said = children.ask(meters[LIGHT_FLEET], "registers", "registers", ASK_S)
        light = [
            Shown(row["meter"], row["outbox"], row["closed"], tuple(row["registers_wh"])) for row in said["meters"]
        ]
    real = [name for name in meters if name != LIGHT_FLEET]
    micropython = unix_port()
    assert micropython is not None or not real
    return light + [read_flash(micropython, store / FLASHES / name, name) for name in real if micropython is not None]


def account_of(store: Path, expected: int, shown: Sequence[Shown]) -> Account:
    """The record against what the meters showed."""
    record = Record(store, read_only=True)
    try:
        return make_account(expected, shown, stored_by_meter(record, shown))
    finally:
        record.close()


def stored_by_meter(record: Record, shown: Iterable[Shown]) -> dict[str, Stored]:
    """What the record has of these meters' outboxes, as far as they had got then."""
    until = {(meter.meter, meter.outbox): meter.closed for meter in shown}
    starts: dict[str, list[int]] = {}
    newest: dict[str, tuple[int, Registers]] = {}
    for meter, reading, _ in record.payloads():
        if reading.seq >= until.get((meter, reading.outbox), 0):
            continue
        starts.setdefault(meter, []).append(reading.start)
        registers = (reading.import_wh, reading.export_wh, reading.generation_wh, reading.consumption_wh)
        newest[meter] = max(newest.get(meter, (-1, registers)), (reading.start, registers))
    return {
        meter: Stored(len(every), len(every) - len(set(every)), newest[meter][1]) for meter, every in starts.items()
    }
