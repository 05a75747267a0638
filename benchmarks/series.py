"""The time series: a million points into InfluxDB, and what pages ask of a year of a thousand homes.

    python -m benchmarks.series [--points 1000000] [--homes 1000] [--days 366]

Writing is compared with ready-made lines sent to the same server in a bare loop, in the same run. Reading: a
household's month and the community's day, p50 and p99. The year takes about 25 minutes and 4 GB of disk.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from market.series import CommunityPoint, EmbeddedSeries, HouseholdPoint, Point, Series
from market.series.influx import BATCH_LINES, InfluxSeries
from market.series.lines import written
from tests import parts
from tests.servers import InfluxServer

START, LENGTH_S, DAY_S = 1_468_195_200, 900, 86_400
CHUNK = 100_000
QUERIES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--homes", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=366)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = InfluxServer(parts.get("influxdb"), Path(folder))
        server.start()
        try:
            _write(server, arguments.points, arguments.homes)
            _read(server, Path(folder), arguments.homes, arguments.days)
        finally:
            server.stop()


def _households(homes: int, intervals: int) -> Iterator[HouseholdPoint]:
    """What a street writes: figures of the sizes that quarter-hours have."""
    chance = random.Random(1)
    for step in range(intervals):
        for home in range(homes):
            used, made = chance.randrange(50, 900), chance.randrange(0, 1_500)
            imported, exported = max(0, used - made), max(0, made - used)
            yield HouseholdPoint(
                START + step * LENGTH_S, LENGTH_S, f"h{home:04}", imported, exported, made, used, imported // 2,
                exported // 2, True, exported * 9_500 - imported * 9_500, exported * 4_000 - imported * 15_000,
                exported * 8_000 - imported * 30_000, 0,
            )  # fmt: skip


def _community(homes: int, intervals: int) -> Iterator[CommunityPoint]:
    for step in range(intervals):
        yield CommunityPoint(
            START + step * LENGTH_S, LENGTH_S, homes, homes, 150 * homes, 200 * homes, 300 * homes, 700 * homes,
            450 * homes, 3_300_000 * homes, 0, 19_000, 30_000, 8_000, 1_000 * homes, 0,
        )  # fmt: skip


def _write(server: InfluxServer, count: int, homes: int) -> None:
    points: list[Point] = list(_households(homes, -(-count // homes)))[:count]
    ready = written(points, "ready")
    rates: dict[str, float] = {}
    for name in ("bare", "ours", "bare again", "ours again"):
        server.query('CREATE DATABASE "pumasi"')
        began = time.perf_counter()
        if name.startswith("bare"):
            _bare(server, ready)
        else:
            series = _open(server)
            for i in range(0, count, CHUNK):
                series.write(points[i : i + CHUNK])
            series.close()
        rates[name] = count / (time.perf_counter() - began)
        server.query('DROP DATABASE "pumasi"')
    bare, ours = (max(rates[name], rates[f"{name} again"]) for name in ("bare", "ours"))
    print(f"write {count:,} points: {ours:,.0f}/s; ready-made lines in a bare loop {bare:,.0f}/s; {ours / bare:.0%}")


def _bare(server: InfluxServer, ready: Sequence[str]) -> None:
    credentials = b64encode(f"{server.user}:{server.password}".encode()).decode()
    for i in range(0, len(ready), BATCH_LINES):
        body = "\n".join(ready[i : i + BATCH_LINES]).encode()
        request = urllib.request.Request(f"{server.url}/write?db=pumasi&precision=s", data=body)
        request.add_header("Authorization", f"Basic {credentials}")
        urllib.request.urlopen(request, timeout=60).close()


def _open(server: InfluxServer) -> InfluxSeries:
    return InfluxSeries.with_password(server.url, server.user, server.password, "pumasi", "street")


def _read(server: InfluxServer, folder: Path, homes: int, days: int) -> None:
    server.query('CREATE DATABASE "pumasi"')
    embedded = EmbeddedSeries(folder / "series.sqlite")
    influx = _open(server)
    chunk: list[Point] = []
    for point in _households(homes, days * DAY_S // LENGTH_S):
        chunk.append(point)
        if len(chunk) == CHUNK:
            for series in (embedded, influx):
                series.write(chunk)
            chunk = []
    stores: tuple[Series, Series] = (embedded, influx)
    for series in stores:
        series.write([*chunk, *_community(homes, days * DAY_S // LENGTH_S)])
        name = type(series).__name__
        chance = random.Random(2)
        _ask(f"{name}: a household's month of {days} days", partial(_month, series, chance, homes, days))
        _ask(f"{name}: the community's day of {days} days", partial(_day, series, chance, days))
        series.close()


def _month(series: Series, chance: random.Random, homes: int, days: int) -> None:
    start = START + chance.randrange(max(1, days - 29)) * DAY_S
    found = series.household(f"h{chance.randrange(homes):04}", start, start + 30 * DAY_S)
    assert len(found) == min(30, days) * DAY_S // LENGTH_S, len(found)


def _day(series: Series, chance: random.Random, days: int) -> None:
    start = START + chance.randrange(days) * DAY_S
    assert len(series.community(start, start + DAY_S)) == DAY_S // LENGTH_S


def _ask(what: str, ask: Callable[[], None]) -> None:
    took_ms = []
    for _ in range(QUERIES):
        began = time.perf_counter()
        ask()
        took_ms.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(took_ms, n=100)
    print(f"{what}: p50 {statistics.median(took_ms):.1f} ms, p99 {cuts[98]:.1f} ms, first {took_ms[0]:.1f} ms")


if __name__ == "__main__":
    main()
