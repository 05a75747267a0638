"""The light fleet: thousands of simulated meters in one process, with the firmware's contract but without the firmware.

    python -m firmware.host.light FILE

FILE names the broker and the meters, see `Fleet`. Standard input carries `tick <epoch>` and `stop`, standard output
JSON lines, as with a meter's own process; `cut <meter>` cuts a meter's power, `registers` asks what all of them show.
With "clock": "system" the machine's clock ticks instead. FILE.state holds what outlives a power cut.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from broker.run import raise_open_files
from firmware.host.light_link import Address, Connection
from firmware.host.light_meter import Memory, Meter, MeterSettings
from firmware.host.profile import Profile

CONNECTING_AT_ONCE = 50
LOOK_S = 1.0
YIELD_EVERY = 100


class Fleet(msgspec.Struct, frozen=True):
    broker: Address
    interval_s: int
    profile_start: int
    step_s: int
    meters: list[MeterSettings]
    clock: Literal["conductor", "system"] = "conductor"


def read_fleet(path: Path) -> Fleet:
    """ValueError for a file that is not a fleet's, msgspec's included."""
    return msgspec.json.decode(path.read_bytes(), type=Fleet)


def make_meters(fleet: Fleet, memories: dict[str, Memory]) -> list[Meter]:
    """ValueError for a profile or a key that is not one."""
    if fleet.interval_s < 1:
        raise ValueError("the interval is not positive")
    profiles: dict[tuple[tuple[int, ...], tuple[int, ...]], Profile] = {}  # a district has many equal ones
    meters = []
    for settings in fleet.meters:
        powers = (tuple(settings.load_w), tuple(settings.generation_w))
        if powers not in profiles:
            profiles[powers] = Profile(fleet.profile_start, fleet.step_s, *powers)
        meters.append(Meter(settings, profiles[powers], fleet.interval_s, memories.get(settings.user)))
    return meters


def read_memories(path: Path) -> dict[str, Memory]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Memory]) if path.exists() else {}


def save_memories(path: Path, meters: list[Meter]) -> None:
    """Durable when it returns, and whole or not there at all."""
    memories = {meter.user: meter.memory for meter in meters if meter.origin is not None}
    scratch = path.with_name(path.name + ".new")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(memories))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def tick(meters: list[Meter], state: Path, epoch_s: int) -> list[str]:
    """Move every meter's clock; the events to tell the conductor, each about a reading that is durable by now."""
    new = [meter for meter in meters if meter.origin is None]
    for meter in new:
        meter.begin(epoch_s)
    if new:
        save_memories(state, meters)
    events = []
    for meter in meters:
        before = meter.next_seq
        events += [
            json.dumps({"event": "closed", "meter": meter.name, "start": start}, separators=(",", ":"))
            for start in meter.close_until(meter.clock(epoch_s))
        ]
        if meter.next_seq > before:
            meter.silent_ticks += 1
    return events


def registers(meters: list[Meter]) -> str:
    """What every meter shows, and how many intervals it has closed."""
    rows = [{"meter": m.name, "outbox": m.outbox, "closed": m.next_seq, "registers_wh": m.registers} for m in meters]
    return json.dumps({"event": "registers", "meters": rows})


def say(lines: list[str]) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


async def follow(connections: dict[str, Connection], meters: list[Meter], state: Path) -> None:
    """Do what standard input says, until it says stop or ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    now_s = 0
    while line := await reader.readline():
        match line.split():
            case [b"stop"]:
                return
            case [b"tick", epoch] if epoch.isdigit() and int(epoch) >= now_s:
                now_s = int(epoch)
                say(tick(meters, state, now_s))
                await send_all(connections)
            case [b"cut", name] if name.decode() in connections:
                connections[name.decode()].cut_power()
                say(tick(meters, state, now_s))  # it boots, and closes what it finds closed by its clock
            case [b"registers"]:
                say([registers(meters)])
            case _:
                print(f"not a command, or a tick back in time: {line!r}", file=sys.stderr)


async def send_all(connections: dict[str, Connection]) -> None:
    """What a tick has brought. With a backlog this is long work: acks must be heard meanwhile."""
    for at, connection in enumerate(connections.values()):
        connection.send()
        if at % YIELD_EVERY == 0:
            await asyncio.sleep(0)


async def look_after(connections: dict[str, Connection]) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        now_s = time.monotonic()
        for connection in connections.values():
            connection.look(now_s)


async def keep_time(connections: dict[str, Connection], meters: list[Meter], state: Path) -> None:
    """Tick by the machine's clock, every second: each meter's own clock says whether an interval has ended."""
    while True:
        now_s = time.time()
        say(tick(meters, state, int(now_s)))
        await send_all(connections)
        await asyncio.sleep(1.0 - now_s % 1.0)


async def run(fleet: Fleet, meters: list[Meter], state: Path) -> None:
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)
    connections = {
        meter.name: Connection(meter, fleet.broker, gate, lambda: save_memories(state, meters)) for meter in meters
    }
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)

    async def announce() -> None:
        for connection in connections.values():
            await connection.connected.wait()
        say(['{"event":"ready"}'])

    announcing = asyncio.create_task(announce())
    ends: list[asyncio.Task[Any]] = [asyncio.create_task(connection.run()) for connection in connections.values()]
    ends += [asyncio.create_task(follow(connections, meters, state)), asyncio.create_task(stopped.wait())]
    ends.append(asyncio.create_task(look_after(connections)))
    if fleet.clock == "system":
        ends.append(asyncio.create_task(keep_time(connections, meters, state)))
    ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    announcing.cancel()
    for task in ended:
        task.result()  # brings a failure with it: a meter that cannot send must not look alive


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=os.environ.get("PUMASI_LOG", "WARNING"), stream=sys.stderr)
    # A lost connection is no error here, and Connection.run tells of it; asyncio would tell again, for thousands.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    if len(arguments) != 1:
        print("usage: python -m firmware.host.light FILE", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    state = path.with_name(path.name + ".state")

    async def start() -> None:
        fleet = read_fleet(path)
        meters = make_meters(fleet, read_memories(state))
        fleet.meters.clear()
        await run(fleet, meters, state)
        # Gone without a word, like a meter without power: the broker says `offline` for each, and no one waits for
        # thousands of goodbyes.
        sys.stdout.flush()
        os._exit(0)

    raise_open_files()
    try:
        asyncio.run(start())
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
