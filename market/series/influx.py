"""The series in InfluxDB: 1.x with user and password, 1.8+, 2.x and 3 with a token.

Points are sent as line protocol of our own making and read back by InfluxQL, the one query language
all versions share (2.x needs a DBRP mapping of the bucket; Flux is gone in 3).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3

from market.series import lines
from market.series.points import (
    CommunityPoint,
    FlowPoint,
    HealthPoint,
    HouseholdPoint,
    HouseholdTotals,
    PartnerPoint,
    PartnerTotal,
    Point,
    ReadingPoint,
    SeriesError,
    newest,
    partner_totals,
    sums,
    totals,
)

BATCH_LINES = 5000
CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 10.0
LONG_TIMEOUT_S = 600.0
"""For what the database does with all it holds."""
DAY_S, HOUR_S = 86_400, 3_600
LET_GO = "points beyond retention policy"
"""Said of points older than the database is to keep; it has taken the others of the batch."""

P = TypeVar("P", HouseholdPoint, CommunityPoint, PartnerPoint, FlowPoint, ReadingPoint, HealthPoint)


class InfluxSeries:
    """A Series in one InfluxDB database; several communities may share the database.

    Made by `with_password` or `with_token`. The first call that needs the server finds out whether
    it is there and whether it accepts the credentials.
    """

    def __init__(
        self,
        url: str,
        database: str,
        community: str,
        headers: Mapping[str, str],
        send: Callable[[list[str]], None] | None = None,
        release: Callable[[], None] | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._database = database
        self._community = community
        self._headers = dict(headers)
        self._pool = urllib3.PoolManager(retries=False, maxsize=4)
        self._send = send or self._send_by_write
        self._release = release
        self._writing = threading.Lock()

    @classmethod
    def with_password(cls, url: str, user: str, password: str, database: str, community: str) -> InfluxSeries:
        """InfluxDB 1.x: line protocol to `/write`, basic authentication."""
        return cls(url, database, community, urllib3.make_headers(basic_auth=f"{user}:{password}"))

    @classmethod
    def with_token(cls, url: str, token: str, org: str, bucket: str, community: str) -> InfluxSeries:
        """InfluxDB 1.8+, 2.x and 3: `/api/v2/write` through influxdb-client's WriteApi."""
        # Imports that only this way of writing needs.
        from influxdb_client.client.influxdb_client import InfluxDBClient
        from influxdb_client.client.write_api import SYNCHRONOUS
        from influxdb_client.rest import ApiException

        timeout_ms = (int(CONNECT_TIMEOUT_S * 1000), int(READ_TIMEOUT_S * 1000))
        client = InfluxDBClient(url.rstrip("/"), token, timeout=timeout_ms, org=org, retries=False)
        writer = client.write_api(write_options=SYNCHRONOUS)

        def send(batch: list[str]) -> None:
            try:
                writer.write(bucket, org, batch, write_precision="s")  # type: ignore[arg-type]  # a str there
            except ApiException as error:
                if LET_GO in str(error.body):
                    return
                raise _refused(url, bucket, error.status or 0, error.body or error.reason) from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise _unreachable(url, error) from error

        def release() -> None:
            writer.close()  # type: ignore[no-untyped-call]
            client.close()  # type: ignore[no-untyped-call]

        return cls(url, bucket, community, {"Authorization": f"Token {token}"}, send, release)

    def write(self, points: Iterable[Point]) -> None:
        """See Series.write. Nothing is deleted: a partner that is gone is overwritten with zero energy."""
        kept = newest(points)
        with self._writing:
            rows = [*kept, *self._gone(kept)]
            with ThreadPoolExecutor(max_workers=1) as sender:
                # While the server takes one batch, the next one's lines are made.
                sent: Future[None] | None = None
                for i in range(0, len(rows), BATCH_LINES):
                    batch = lines.written(rows[i : i + BATCH_LINES], self._community)
                    if sent is not None:
                        sent.result()
                    sent = sender.submit(self._send, batch)
                if sent is not None:
                    sent.result()

    def household(self, household: str, start: int, end: int) -> list[HouseholdPoint]:
        """See Series.household."""
        return sorted(self._points(HouseholdPoint, start, end, household=household), key=_when)

    def community(self, start: int, end: int) -> list[CommunityPoint]:
        """See Series.community."""
        return sorted(self._points(CommunityPoint, start, end), key=_when)

    def partners(self, household: str, start: int, end: int) -> list[PartnerTotal]:
        """See Series.partners."""
        return partner_totals(self._points(PartnerPoint, start, end, household=household))

    def totals(self, household: str, start: int, end: int) -> HouseholdTotals:
        """See Series.totals. Summed here: the database's own sums are 64 bits and wrap silently."""
        return totals(self._points(HouseholdPoint, start, end, household=household))

    def sums(self, household: str, bounds: Sequence[int]) -> list[HouseholdTotals]:
        """See Series.sums."""
        return sums(self._points(HouseholdPoint, bounds[0], bounds[-1], household=household), bounds)

    def flows(self, node: str, start: int, end: int) -> list[FlowPoint]:
        """See Series.flows."""
        return sorted(self._points(FlowPoint, start, end, node=node), key=_when)

    def readings(self, meter: str, start: int, end: int) -> list[ReadingPoint]:
        """See Series.readings."""
        return sorted(self._points(ReadingPoint, start, end, meter=meter), key=_when)

    def health(self, start: int, end: int) -> list[HealthPoint]:
        """See Series.health."""
        return sorted(self._points(HealthPoint, start, end), key=_when)

    def clear(self) -> None:
        """See Series.clear. Hourly sums stay: their interval points may be older than the database keeps them."""
        for kind in lines.MEASUREMENT:
            self._query(lines.delete(kind, self._community), method="POST", timeout_s=LONG_TIMEOUT_S)

    def sum_hours(self, first_start: int, last_start: int) -> bool:
        """Make the hourly sums again, of the record's intervals between the two whose points stand here.

        The sum of the oldest hour that stands is left as it is when points before it are gone: some of its own may be
        among them. False where the database was not set up for hourly sums.
        """
        oldest = next(self._found(CommunityPoint, lines.oldest(self._community)), None)
        if oldest is None:
            return False
        begin = oldest.start // HOUR_S * HOUR_S + (HOUR_S if oldest.start > first_start else 0)
        try:
            for start in range(begin, last_start + 1, DAY_S):
                where = lines.within(self._community, start, min(start + DAY_S, last_start + HOUR_S))
                for kind in lines.SUMMED:
                    hourly = lines.hourly(self._database, kind, where)
                    self._query(hourly, method="POST", timeout_s=LONG_TIMEOUT_S)
        except SeriesError as error:
            if "retention policy not found" in str(error):
                return False
            raise
        return True

    def close(self) -> None:
        """See Series.close."""
        if self._release is not None:
            self._release()
        self._pool.clear()

    def _gone(self, kept: Iterable[Point]) -> Iterator[PartnerPoint]:
        """Zero rows for the partners that stand in the database and that `kept` no longer names."""
        revision: dict[tuple[str, int, int], int] = {}
        named: set[tuple[str, int, int, str]] = set()
        for point in kept:
            # A first revision has no earlier one whose partners could stand.
            if point.revision and isinstance(point, HouseholdPoint | PartnerPoint):
                revision[point.household, point.start, point.length] = point.revision
            if isinstance(point, PartnerPoint):
                named.add((point.household, point.start, point.length, point.partner))
        if not revision:
            return
        # Day by day: corrections of intervals months apart may come together.
        for _, day in groupby(sorted({start for _, start, _ in revision}), key=lambda start: start // DAY_S):
            starts = list(day)
            for old in self._points(PartnerPoint, starts[0], starts[-1] + 1):
                owner = (old.household, old.start, old.length)
                if owner in revision and (*owner, old.partner) not in named and old.bought_wh + old.sold_wh:
                    yield PartnerPoint(old.start, old.length, old.household, old.partner, 0, 0, revision[owner])

    def _points(self, kind: type[P], start: int, end: int, **tags: str) -> Iterator[P]:
        return self._found(kind, lines.select(kind, self._community, start, end, **tags))

    def _found(self, kind: type[P], statement: str) -> Iterator[P]:
        for table in self._query(statement):
            yield from lines.points(kind, table["columns"], table["values"])

    def _query(self, statement: str, method: str = "GET", timeout_s: float = READ_TIMEOUT_S) -> list[dict[str, Any]]:
        arguments = {"db": self._database, "epoch": "s", "q": statement}
        body = self._request(method, "/query", arguments, timeout_s=timeout_s)
        try:
            result = json.loads(body)["results"][0]
        except (ValueError, KeyError, IndexError) as error:
            raise SeriesError(f"InfluxDB at {self._url} answered a query with something else: {body[:80]!r}") from error
        if "error" in result:
            raise _refused(self._url, self._database, 200, result["error"])
        tables: list[dict[str, Any]] = result.get("series", [])
        return tables

    def _send_by_write(self, batch: list[str]) -> None:
        self._request("POST", "/write", {"db": self._database, "precision": "s"}, "\n".join(batch).encode())

    def _request(
        self,
        method: str,
        path: str,
        arguments: dict[str, str],
        body: bytes | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> bytes:
        place = f"{self._url}{path}?{urlencode(arguments)}"
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=timeout_s)
        try:
            answer = self._pool.request(method, place, headers=self._headers, body=body, timeout=timeout)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(self._url, error) from error
        if answer.status >= 300 and LET_GO.encode() not in answer.data:
            raise _refused(self._url, self._database, answer.status, answer.data)
        return answer.data


def _when(point: Point) -> tuple[int, int]:
    return point.start, point.length


def _unreachable(url: str, error: Exception) -> SeriesError:
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    return SeriesError(f"InfluxDB at {url} cannot be reached ({type(reason).__name__})")


def _refused(url: str, database: str, status: int, body: object) -> SeriesError:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    try:
        found = json.loads(text)
        text = str(found.get("error") or found.get("message") or text)
    except (ValueError, AttributeError):
        pass
    text = " ".join(text.split())[:200]
    if status in (401, 403):
        return SeriesError(f"InfluxDB at {url} refuses the credentials ({status}: {text})")
    if status == 404 or "database not found" in text:
        return SeriesError(f"InfluxDB at {url} has no database {database!r}: pumasi influx init makes it ({text})")
    return SeriesError(f"InfluxDB at {url} refuses ({status}: {text})")
