"""The pages over a year of a thousand homes, and five hundred open pages told of a settlement.

    python -m benchmarks.dashboard [--homes 1000] [--days 30] [--pages 500] [--full] [--store DIR]

One process serves, as ``pumasi dashboard run`` does. Every page is asked for warm, and cold (the operating system has
forgotten the store's pages); beside them, in the same run, an empty FastAPI + Jinja2 page. Then ``--pages`` households
hold their page open: time from the settlement's series to the last page updated, the server's processor time for each
update, and memory for each connection. An open page fetches what a new interval changes, as its script does.
``--full`` is a year instead of ``--days``. The intervals before the last ones are made up; partners are written for
the households that are asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil

from dashboard.accounts import Accounts, people
from market.record import Record
from market.series import CommunityPoint, EmbeddedSeries, HouseholdPoint, PartnerPoint, Point
from market.series.points import FlowPoint
from market.series.position import write_position
from market.service.projection import Projection, rebuild
from tests.market.settled import settle_street

LENGTH_S, DAY_S = 900, 86_400
CHUNK = 100_000
ASKED, REQUESTS, COLD = 20, 200, 20
SETTLED = 3
READY_S, TOLD_S = 60.0, 120.0
PAGES = (
    ("a household's page", "/household/{household}"),
    ("a household's day", "/household/{household}/day?on={day}"),
    ("a household's month", "/household/{household}/month?on={month}"),
    ("a household's year", "/household/{household}/year"),
    ("the operator's map", "/operator/network"),
)
EMPTY = """
import sys
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment

page = Environment(autoescape=True).from_string("<!doctype html><title>{{ title }}</title><h1>{{ title }}</h1>")
app = FastAPI()

@app.get("/", response_class=HTMLResponse)
def empty() -> HTMLResponse:
    return HTMLResponse(page.render(title="Nothing"))

uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--homes", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--full", action="store_true", help="a year instead of --days; about ten minutes, 5 GB of disk")
    parser.add_argument("--store", type=Path, help="keep the store here, and use it again (default: thrown away)")
    arguments = parser.parse_args()
    days = 366 if arguments.full else arguments.days
    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store or Path(folder) / "store"
        if not (store / "record.sqlite").exists():
            _make(store, arguments.homes, days)
        print(f"{arguments.homes} homes, {days} days: series {(store / 'series.sqlite').stat().st_size / 1e9:.1f} GB")
        sessions = _sessions(store, arguments.pages)
        _pages(store, sessions)
        asyncio.run(_told(store, sessions, arguments.pages))


def _make(store: Path, homes: int, days: int) -> None:
    """Settle a few intervals for real, and put made-up ones before them into the series."""
    store.mkdir(parents=True)
    settle_street(store, homes=homes, steps=SETTLED)
    series = EmbeddedSeries(store / "series.sqlite")
    record = Record(store, read_only=True)
    rebuild(record, store, series, "embedded", lambda done, total: None)
    first = record.first_start()
    assert first is not None
    rules = record.rules(record.input_versions(2**62))
    households = [member.household for member in rules.members]
    record.close()
    chunk: list[Point] = []
    began = time.perf_counter()
    for point in _made_up(households, rules.nodes, range(first - days * DAY_S, first, LENGTH_S)):
        chunk.append(point)
        if len(chunk) >= CHUNK and not isinstance(point, PartnerPoint):
            series.write(chunk)
            chunk = []
    series.write(chunk)
    series.close()
    print(f"made up {days} days in {time.perf_counter() - began:,.0f} s")


def _made_up(households: Sequence[str], nodes: Sequence[str], starts: range) -> Iterator[Point]:
    chance = random.Random(1)
    homes = len(households)
    asked = set(_asked(households))
    for start in starts:
        for home in households:
            used, made = chance.randrange(50, 900), chance.randrange(0, 1_500)
            bought, sold = max(0, used - made), max(0, made - used)
            yield HouseholdPoint(
                start, LENGTH_S, home, bought, sold, made, used, bought // 2, sold // 2, True,
                sold * 9_500 - bought * 9_500, sold * 4_000 - bought * 15_000, sold * 8_000 - bought * 30_000, 0,
            )  # fmt: skip
            if home in asked:
                for partner in chance.sample(households, 3):
                    yield PartnerPoint(start, LENGTH_S, home, partner, bought // 6, sold // 6, 0)
        for node in nodes:
            yield FlowPoint(start, LENGTH_S, node, chance.randrange(-2_000, 2_000), 19_000, 0)
        yield CommunityPoint(
            start, LENGTH_S, homes, homes, 150 * homes, 200 * homes, 300 * homes, 700 * homes, 450 * homes,
            3_300_000 * homes, 0, 19_000, 30_000, 8_000, 1_000 * homes, 0,
        )  # fmt: skip


def _asked(households: Sequence[str]) -> Sequence[str]:
    return households[:: max(1, len(households) // ASKED)][:ASKED]


def _sessions(store: Path, most: int) -> dict[str, str]:
    """Sessions of the households asked for and of the first ``most``, and the operator's as ``""``."""
    record = Record(store, read_only=True)
    households = [member.household for member in record.rules(record.input_versions(2**62)).members]
    record.close()
    accounts = Accounts(store)
    found = {account.household or "": account.account for account in accounts.people()}
    now = accounts.now()
    try:
        for household in dict.fromkeys(["", *_asked(households), *households[:most]]):
            if household not in found:
                role = "household" if household else "operator"
                name = household or "operator"
                found[household] = people.add(accounts.db, name, role, household or None, "en", now).account
        return {household: accounts.begin_session(found[household], "127.0.0.1", "benchmark") for household in found}
    finally:
        accounts.close()


@contextmanager
def _served(store: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The pages' port on loopback, and their process."""
    command = [sys.executable, "-m", "market.commands", "dashboard", "run", "--store", str(store), "--port", "0"]
    process = subprocess.Popen([*command, "--clock", "record"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
        yield int(address.rpartition(":")[2].rstrip("/")), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def _empty() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", EMPTY, str(port)])
    try:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def _pages(store: Path, sessions: dict[str, str]) -> None:
    households = _asked([household for household in sessions if household])
    record = Record(store, read_only=True)
    last = record.last_gate()
    record.close()
    series = EmbeddedSeries(store / "series.sqlite", read_only=True)
    first = series.totals(households[0], 0, 2**40).first
    series.close()
    assert last is not None and first is not None
    moments = range(first + DAY_S, last.start, DAY_S)
    chance = random.Random(2)

    def page(port: int, path: str) -> None:
        household = "" if path.startswith("/operator") else chance.choice(households)
        on = datetime.fromtimestamp(chance.choice(moments), UTC)
        place = path.format(household=household, day=f"{on:%Y-%m-%d}", month=f"{on:%Y-%m}")
        _get(port, place, sessions[household])

    with _empty() as port:
        _ask("an empty FastAPI + Jinja2 page", store, partial(_get, port, "/", ""))
    with _served(store) as (port, _):
        for what, path in PAGES:
            _ask(what, store, partial(page, port, path))


def _get(port: int, path: str, session: str) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Cookie": f"pumasi={session}"})
    with urllib.request.urlopen(request, timeout=READY_S) as answer:
        assert answer.status == 200 and "/sign-in" not in answer.url, (path, answer.url)
        answer.read()


def _ask(what: str, store: Path, ask: Callable[[], None]) -> None:
    cold = []
    for _ in range(COLD):
        _forget(store)
        cold.append(_timed(ask))
    warm = [_timed(ask) for _ in range(REQUESTS)]
    cuts = statistics.quantiles(warm, n=100)
    print(
        f"{what}: warm p50 {statistics.median(warm):.1f} ms, p99 {cuts[98]:.1f} ms;"
        f" cold p50 {statistics.median(cold):.1f} ms, worst of {COLD} {max(cold):.1f} ms",
        flush=True,
    )


def _timed(ask: Callable[[], None]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


def _forget(store: Path) -> None:
    """Take the store's files out of the operating system's cache."""
    for path in store.glob("*.sqlite*"):
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


async def _told(store: Path, sessions: dict[str, str], pages: int) -> None:
    """Open pages follow; the last interval's series is written; every page fetches its new figures."""
    record = Record(store, read_only=True)
    last = record.last_gate_number()
    record.close()
    write_position(store, "embedded", last - 1)
    households = [household for household in sessions if household][:pages]
    with _served(store) as (port, process):
        _get(port, f"/household/{households[0]}", sessions[households[0]])
        before = process.memory_info().rss
        open_pages = [_Page(port, household, sessions[household]) for household in households]
        await asyncio.gather(*(page.open() for page in open_pages))
        held = process.memory_info().rss - before
        worked = _worked_s(process)
        series = EmbeddedSeries(store / "series.sqlite")
        projection = Projection(store, series, "embedded", print)
        following = [asyncio.create_task(page.follow()) for page in open_pages]
        began = time.perf_counter()
        projection.start()
        projection.wake()
        async with asyncio.timeout(TOLD_S):
            moments = await asyncio.gather(*following)
        await asyncio.to_thread(projection.stop, READY_S)
        series.close()
        told, updated = zip(*moments, strict=True)
        print(
            f"{len(open_pages)} open pages: told after {max(told) - began:.2f} s, half updated after"
            f" {statistics.median(updated) - began:.2f} s, the last after {max(updated) - began:.2f} s;"
            f" {(_worked_s(process) - worked) / len(open_pages) * 1000:.1f} ms of the server's processor time a page,"
            f" {held / len(open_pages) / 1024:.0f} KiB a connection"
        )


def _worked_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class _Page:
    """A household's open page: its event stream, and the request it sends on a change (static/household.js)."""

    def __init__(self, port: int, household: str, session: str) -> None:
        self._port = port
        self._path = f"/household/{household}"
        self._cookie = f"Cookie: pumasi={session}\r\n"

    async def open(self) -> None:
        self._reader, self._writer = await self._request("/events", "keep-alive")
        await self._event()

    async def follow(self) -> tuple[float, float]:
        """When the change was told, and when the page had its new figures."""
        await self._event()
        told = time.perf_counter()
        reader, writer = await self._request("/live", "close")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200"), answer[:80]
        writer.close()
        self._writer.close()
        return told, time.perf_counter()

    async def _request(self, path: str, connection: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)
        head = f"GET {self._path}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n"
        head += f"{self._cookie}Connection: {connection}\r\n\r\n"
        writer.write(head.encode())
        return reader, writer

    async def _event(self) -> None:
        while not (line := await self._reader.readline()).startswith(b"event: change"):
            assert line, "the stream ended"


if __name__ == "__main__":
    main()
