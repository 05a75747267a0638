"""A street of twelve homes for the pages: deterministic days, cleared pro rata at the middle price.

As a program it serves the street and settles one more interval for every line on standard input:

    python -m tests.dashboard.street FOLDER [HOST PORT]
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from dashboard.accounts import Accounts, people
from dashboard.record import CommunityInfo, HouseholdInfo, LastInterval
from dashboard.serve import serve
from market.record import Record, RecordError
from market.series import CommunityPoint, EmbeddedSeries, HouseholdPoint, PartnerPoint, Point, Series
from market.settlement.rules import Rules

LENGTH = 900
DAY = 86_400
START = 1_468_101_600  # 2016-07-10 00:00 in Berlin
RETAIL, FEED_IN, PRICE = 30_000, 8_000, 19_000
FEE = 500
ROOFS_WH = {1: 900, 3: 620, 6: 410, 9: 780, 12: 350}
"""Homes with a roof and what it gives in a clear quarter of an hour at noon [Wh]."""


class Street:
    """A record in memory. `settle` clears one more interval into a series."""

    def __init__(self, homes: int = 12, *, interval_s: int = LENGTH, names: dict[int, str] | None = None) -> None:
        self.info = CommunityInfo("Lindenweg", "EUR", "Europe/Berlin", interval_s)
        self.members = [
            HouseholdInfo(f"h{i:03d}", (names or {}).get(i, f"Home {i}"), f"n{i}", i in ROOFS_WH)
            for i in range(1, homes + 1)
        ]
        self.settled = 0
        self.counter = 0

    def community(self) -> CommunityInfo:
        return self.info

    def households(self) -> Sequence[HouseholdInfo]:
        return self.members

    def last_interval(self) -> LastInterval | None:
        if not self.settled:
            return None
        return LastInterval(START + (self.settled - 1) * self.info.interval_s, 0, self.counter)

    def change_counter(self) -> int:
        return self.counter

    def rules(self) -> Rules:
        raise RecordError("this street has no record")

    def read(self) -> Record:
        raise RecordError("this street has no record")

    def settle(self, series: Series, intervals: int = 1, *, silent: Sequence[int] = ()) -> None:
        points: list[Point] = []
        for _ in range(intervals):
            points += interval(self.members, START + self.settled * self.info.interval_s, self.info.interval_s, silent)
            self.settled += 1
        series.write(points)
        self.counter += 1


def interval(members: Sequence[HouseholdInfo], start: int, length: int, silent: Sequence[int]) -> list[Point]:
    use = [_use(i, start, length) for i in range(1, len(members) + 1)]
    roof = [_roof(i, start, length) for i in range(1, len(members) + 1)]
    heard = [i not in silent for i in range(1, len(members) + 1)]
    imported = [max(u - r, 0) if h else 0 for u, r, h in zip(use, roof, heard, strict=True)]
    exported = [max(r - u, 0) if h else 0 for u, r, h in zip(use, roof, heard, strict=True)]
    traded = min(sum(imported), sum(exported))
    bought, sold = _split(imported, traded), _split(exported, traded)
    points: list[Point] = []
    for i, member in enumerate(members):
        trade = sold[i] * PRICE - bought[i] * (PRICE + FEE)
        rest = (exported[i] - sold[i]) * FEED_IN - (imported[i] - bought[i]) * RETAIL
        points.append(
            HouseholdPoint(
                start=start,
                length=length,
                household=member.household,
                import_wh=imported[i],
                export_wh=exported[i],
                generation_wh=roof[i] if heard[i] else 0,
                consumption_wh=use[i] if heard[i] else 0,
                bought_wh=bought[i],
                sold_wh=sold[i],
                heard=heard[i],
                trade_money=trade,
                residual_money=rest,
                alone_money=exported[i] * FEED_IN - imported[i] * RETAIL,
                revision=0,
            )
        )
    for seller, buyer, energy in _matches(sold, bought):
        one, other = members[seller].household, members[buyer].household
        points.append(PartnerPoint(start, length, one, other, 0, energy, 0))
        points.append(PartnerPoint(start, length, other, one, energy, 0, 0))
    points.append(
        CommunityPoint(
            start=start,
            length=length,
            homes=len(members),
            heard=sum(heard),
            energy_traded_wh=traded,
            import_wh=sum(imported),
            export_wh=sum(exported),
            generation_wh=sum(roof),
            consumption_wh=sum(use),
            welfare=traded * (RETAIL - FEED_IN - FEE),
            certificate_gap=0,
            price_ticks=PRICE,
            retail_ticks=RETAIL,
            feed_in_ticks=FEED_IN,
            fees=traded * FEE,
            revision=0,
        )
    )
    return points


def _noise(*seeds: int) -> float:
    return math.sin(12.9898 * seeds[0] + 78.233 * seeds[1]) * 43_758.5453 % 1.0


def _use(home: int, start: int, length: int) -> int:
    hour = (start - START) % DAY / 3600
    slot = start // 900
    base = 60 + 18 * math.sin(home)
    morning = 95 * math.exp(-(((hour - 7.2 - home % 3 * 0.5) / 1.0) ** 2))
    evening = 190 * math.exp(-(((hour - 19 - home % 4 * 0.45) / 1.9) ** 2))
    kitchen = 320 if _noise(home, slot // 3) > 0.93 and 6 < hour < 22.5 else 0
    return int((base + morning + evening + kitchen + 30 * _noise(home, slot)) * length / 900)


def _roof(home: int, start: int, length: int) -> int:
    hour = (start - START) % DAY / 3600
    height = math.sin(math.pi * (hour - 5.3) / 16.2) if 5.3 < hour < 21.5 else 0.0
    cloud = 0.55 + 0.45 * min(1.0, 1.6 * _noise(1, start // 2700))
    return int(ROOFS_WH.get(home, 0) * max(height, 0.0) ** 1.6 * cloud * length / 900)


def _split(shares: Sequence[int], energy: int) -> list[int]:
    whole = sum(shares)
    parts = [energy * share // whole if whole else 0 for share in shares]
    for i in sorted(range(len(shares)), key=lambda i: -shares[i])[: energy - sum(parts)]:
        parts[i] += 1
    return parts


def _matches(sold: Sequence[int], bought: Sequence[int]) -> list[tuple[int, int, int]]:
    left, found = list(bought), []
    for seller, energy in enumerate(sold):
        for buyer in sorted(range(len(left)), key=lambda b: abs(b - seller)):
            taken = min(energy, left[buyer])
            if taken:
                found.append((seller, buyer, taken))
                energy -= taken
                left[buyer] -= taken
    return found


def main(arguments: Sequence[str]) -> int:
    folder = Path(arguments[0])
    street = Street()
    series = EmbeddedSeries(folder / "series.sqlite")
    street.settle(series, 96 + 57)

    def live() -> None:
        for _ in sys.stdin:
            street.settle(series)

    threading.Thread(target=live, daemon=True).start()
    host, port = (arguments[1], int(arguments[2])) if len(arguments) > 2 else ("127.0.0.1", 0)
    accounts = Accounts(folder)
    operator = people.add(accounts.db, "operator", "operator", "h003", "en", accounts.now())
    session = accounts.begin_session(operator.account, "127.0.0.1", "tests")
    return serve(
        street,
        series,
        accounts,
        store=folder,
        host=host,
        port=port,
        ready=lambda address: print(address, session, flush=True),
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
