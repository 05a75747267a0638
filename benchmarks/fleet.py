"""Thousands of meters against one Mosquitto: readings into the durable record, beside what the broker itself carries.

    python -m benchmarks.fleet [--meters 5000] [--intervals 16] [--rounds 3]

Both figures come from the same light fleet on the same machine, one after the other, in every round:

limit   the fleet publishes, a subscriber that does nothing but PUBACK hears it: the broker's own limit
ingest  the fleet publishes, the market checks seal and contents, commits to the record, acknowledges; no gate closes
        meanwhile, because one more meter is a member that nobody ever hears
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.contract import market_user
from broker.mqtt import Heard, opened
from broker.run import RunningBroker, raise_open_files, start_broker
from firmware.host.fleet import Identity, light_command, light_fleet_file
from firmware.host.street import Street, load_street, with_homes
from market.commands.street import COMMUNITY, LOOPBACK, PUMASI, begin_store, broker_accounts
from market.record import Record

READY_S, LOOK_S, MOST_S = 120.0, 0.02, 600.0
IN_FLIGHT = 16
"""Readings that a meter sends before it waits for the market: all that the limit can be measured with."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meters", type=int, default=5000)
    parser.add_argument("--intervals", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    street = with_homes(load_street(), arguments.meters + 1)
    raise_open_files()
    print(f"{arguments.meters} light meters, one Mosquitto, {os.cpu_count()} cores; messages/s")
    shares = []
    for number in range(1, arguments.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            limit = _limit(Path(folder) / "limit", street, min(arguments.intervals, IN_FLIGHT))
            ingest, after_s = _ingest(Path(folder) / "ingest", street, arguments.intervals)
        shares.append(ingest / limit)
        print(
            f"round {number}: limit {limit:8,.0f}   ingest {ingest:8,.0f}   {100 * ingest / limit:5.1f} %"
            f"   (the last ack reached its meter {after_s:.1f} s after the first reading was sent)"
        )
    print(f"median share of the broker's limit: {100 * statistics.median(shares):.1f} % (aim: 60 %)")


def _limit(store: Path, street: Street, intervals: int) -> float:
    """Messages/s from the fleet to a subscriber that only acknowledges."""
    identities, broker, password = _broker(store, street)
    heard: list[float] = []
    with broker, _subscriber(broker.port, password, heard), _fleet(store, street, identities, broker.port) as fleet:
        _tell(fleet, street.start + intervals * street.step_s)
        expected = (len(street.homes) - 1) * intervals
        _wait(lambda: len(heard) >= expected)
    return (len(heard) - 1) / (heard[-1] - heard[0])


def _ingest(store: Path, street: Street, intervals: int) -> tuple[float, float]:
    """Readings/s committed by the market, and how long all took to the last ack [s]."""
    identities, broker, password = _broker(store, street)
    expected = (len(street.homes) - 1) * intervals
    with (
        broker,
        _market(store, broker.port, password) as market,
        _fleet(store, street, identities, broker.port) as fleet,
    ):
        now = street.start + intervals * street.step_s
        _tell(market, now)
        _tell(fleet, now)
        record = Record(store, read_only=True)
        try:
            _wait(lambda: record.horizon() > 0)
            first, first_s = record.horizon(), time.monotonic()
            _wait(lambda: record.horizon() >= expected)
            took_s = time.monotonic() - first_s
            outcomes = record.outcomes()
        finally:
            record.close()
    if set(outcomes) - {"duplicate"} != {"stored"}:
        raise SystemExit(f"unusual: {outcomes}")
    return (expected - first) / took_s, took_s


def _broker(store: Path, street: Street) -> tuple[dict[str, Identity], RunningBroker, str]:
    store.mkdir()
    identities = begin_store(store, street)
    accounts = broker_accounts(identities)
    broker = start_broker(store / "broker", 0, accounts, COMMUNITY, "mosquitto")
    return identities, broker, accounts[market_user(COMMUNITY)]


@contextmanager
def _fleet(store: Path, street: Street, identities: dict[str, Identity], port: int) -> Iterator[subprocess.Popen[str]]:
    """The light fleet, connected; all homes but the last, which stays silent."""
    path = store / "fleet.json"
    light_fleet_file(path, [(identities[home.meter], home) for home in street.homes[:-1]], street, LOOPBACK, port)
    with subprocess.Popen(light_command(path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as fleet:
        try:
            _tell(fleet, street.start)
            _until(fleet, "ready")
            yield fleet
        finally:
            fleet.kill()


@contextmanager
def _market(store: Path, port: int, password: str) -> Iterator[subprocess.Popen[str]]:
    command = [*PUMASI, "market", "run", "--store", str(store), "--broker", f"{LOOPBACK}:{port}"]
    command += ["--grace", "1000000", "--clock", "conductor"]
    environment = {**os.environ, "PUMASI_BROKER_PASSWORD": password}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as market:
        try:
            _tell(market, load_street().start)
            _until(market, "connected")
            yield market
        finally:
            market.terminate()


@contextmanager
def _subscriber(port: int, password: str, heard: list[float]) -> Iterator[None]:
    """Appends to `heard` when a message comes; runs in a thread, in which it has nothing else to do."""
    ready, done = threading.Event(), threading.Event()

    async def listen() -> None:
        def hear(messages: list[Heard]) -> None:
            now_s = time.monotonic()
            heard.extend(now_s for _ in messages)

        session = await opened(LOOPBACK, port, hear, timeout_s=READY_S)
        await session.connect(market_user(COMMUNITY), password, keepalive_s=600, timeout_s=READY_S)
        await session.subscribe([f"pumasi/1/{COMMUNITY}/+/reading"], READY_S)
        ready.set()
        while not done.is_set():
            await asyncio.sleep(LOOK_S)
        session.abort()

    thread = threading.Thread(target=lambda: asyncio.run(listen()), daemon=True)
    thread.start()
    ready.wait(READY_S)
    try:
        yield
    finally:
        done.set()
        thread.join()


def _tell(process: subprocess.Popen[str], now: int) -> None:
    assert process.stdin is not None
    process.stdin.write(f"tick {now}\n")
    process.stdin.flush()


def _until(process: subprocess.Popen[str], event: str) -> None:
    """Read its events up to this one; whatever it says afterwards is read and forgotten."""
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("event") == event:
            break
    else:
        raise SystemExit(f"{process.args!r} ended before it was {event}")
    output = process.stdout
    threading.Thread(target=lambda: [None for _ in output], daemon=True).start()


def _wait(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + MOST_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise SystemExit("too slow: given up")
        time.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
