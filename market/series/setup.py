"""What an InfluxDB must have before the series is written to it: for each version what it can do.

1.x gets a database, how long it keeps points, and hourly sums kept for ever (a retention policy of
their own, filled by continuous queries). 2.x gets a bucket and the mapping InfluxQL needs; 3 a
database. Both can keep points for a time, but sum only by Flux tasks or plugins, which this
project does not build on. Source: the HTTP API references of InfluxDB 1.8, 2.7 and 3 Core.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3

from market.series import lines
from market.series.environment import PASSWORD, TOKEN, URL
from market.series.points import SeriesError

RESAMPLED_DAYS = 7
SHARD_DAYS = 7
TIMEOUT_S = 10.0


def prepare(environ: Mapping[str, str], keep_days: int | None) -> Iterator[str]:
    """Set up the database that the environment names; yields what was done, a line each.

    ``keep_days`` is how long interval points are kept, None for ever. Doing it again changes what
    differs and nothing else. Raises SeriesError when the database cannot be reached or refuses.
    """
    with_token = all(environ.get(name) for name in TOKEN)  # as the series is written
    server = _Server(environ[URL].rstrip("/"), _headers(environ, with_token))
    version = server.version()
    major = version.removeprefix("v").partition(".")[0]
    if major in ("2", "3") and not with_token:
        raise SeriesError(f"InfluxDB {version} at {server.url} is set up with {', '.join(TOKEN)}")
    if major == "1":
        yield from _first(server, environ[TOKEN[-1] if with_token else PASSWORD[-1]], keep_days)
    elif major == "2":
        yield from _second(server, environ[TOKEN[1]], environ[TOKEN[-1]], keep_days)
    elif major == "3":
        yield from _third(server, environ[TOKEN[-1]], keep_days)
    else:
        yield f"{server.url} says it is version {version or 'nothing'}: there is nothing to set up that we know of"


def _first(server: _Server, database: str, keep_days: int | None) -> Iterator[str]:
    name = lines.name(database)
    server.query(f"CREATE DATABASE {name}")
    yield f"InfluxDB {server.version()}: database {database} is there"
    duration = "INF" if keep_days is None else f"{keep_days}d"
    shard_days = min(SHARD_DAYS, keep_days or SHARD_DAYS)  # the server lets go of whole shards only
    policy = f'RETENTION POLICY "autogen" ON {name} DURATION {duration}'
    server.query(f"CREATE {policy} REPLICATION 1 SHARD DURATION {shard_days}d DEFAULT", fine="already exists")
    server.query(f"ALTER {policy} SHARD DURATION {shard_days}d DEFAULT")
    yield f"interval points are kept {'for ever' if keep_days is None else f'{keep_days} days'}"
    server.query(f'CREATE RETENTION POLICY "{lines.HOURS}" ON {name} DURATION INF REPLICATION 1 SHARD DURATION 52w')
    for kind in lines.SUMMED:
        query = f'"{lines.MEASUREMENT[kind]}_{lines.HOURS}"'
        # Its definition may be an older version's.
        server.query(f"DROP CONTINUOUS QUERY {query} ON {name}", fine="not found")
        server.query(
            f"CREATE CONTINUOUS QUERY {query} ON {name} RESAMPLE EVERY 1h FOR {RESAMPLED_DAYS}d "
            f"BEGIN {lines.hourly(database, kind)} END"
        )
    yield f'hourly sums of households and community are kept for ever, as retention policy "{lines.HOURS}"'


def _second(server: _Server, org: str, bucket: str, keep_days: int | None) -> Iterator[str]:
    orgs = server.call("GET", "/api/v2/orgs", {"org": org}).get("orgs", [])
    if not orgs:
        raise SeriesError(f"InfluxDB at {server.url} has no organisation {org!r}, or the token may not see it")
    org_id = orgs[0]["id"]
    rules = [] if keep_days is None else [{"type": "expire", "everySeconds": keep_days * 86_400}]
    found = server.call("GET", "/api/v2/buckets", {"orgID": org_id, "name": bucket}).get("buckets", [])
    if found:
        server.call("PATCH", f"/api/v2/buckets/{found[0]['id']}", body={"retentionRules": rules})
    else:
        found = [
            server.call("POST", "/api/v2/buckets", body={"orgID": org_id, "name": bucket, "retentionRules": rules})
        ]
    yield f"InfluxDB {server.version()}: bucket {bucket} is there"
    yield f"points are kept {'for ever' if keep_days is None else f'{keep_days} days'}"
    mapped = server.call("GET", "/api/v2/dbrps", {"orgID": org_id, "bucketID": found[0]["id"]}).get("content", [])
    if not any(entry.get("database") == bucket and entry.get("default") for entry in mapped):
        mapping = {"orgID": org_id, "bucketID": found[0]["id"], "database": bucket, "retention_policy": "autogen"}
        server.call("POST", "/api/v2/dbrps", body={**mapping, "default": True})
    yield f"InfluxQL finds it as database {bucket}"
    yield "hourly sums are not set up: InfluxDB 2 makes them with Flux tasks only"


def _third(server: _Server, database: str, keep_days: int | None) -> Iterator[str]:
    body = {"db": database} | ({} if keep_days is None else {"retention_period": f"{keep_days}d"})
    server.call("POST", "/api/v3/configure/database", body=body, there_is_fine=True)
    yield f"InfluxDB {server.version()}: database {database} is there"
    kept = "for ever" if keep_days is None else f"{keep_days} days if the database is new"
    yield f"points are kept {kept}; hourly sums are not set up: InfluxDB 3 makes them with plugins only"


class _Server:
    """An InfluxDB's HTTP, as its administrator."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url = url
        self._headers = dict(headers)
        self._pool = urllib3.PoolManager(timeout=TIMEOUT_S, retries=False)
        self._version: str | None = None

    def version(self) -> str:
        """What the server says it is; empty when it says nothing."""
        if self._version is None:
            answer = self._request("GET", "/ping", {}, None)
            self._version = answer.headers.get("X-Influxdb-Version", "")
        return self._version

    def query(self, statement: str, fine: str | None = None) -> None:
        """Have a statement run; an answer that says ``fine`` is one."""
        answer = self._request("POST", "/query", {"q": statement}, None)
        found = _json(answer.data)
        problem = found.get("error") or next((r["error"] for r in found.get("results", []) if "error" in r), None)
        if problem and not (fine and fine in problem):
            raise SeriesError(f"InfluxDB at {self.url} refuses {statement.partition('(')[0][:60]!r}: {problem}")

    def call(
        self,
        method: str,
        path: str,
        arguments: Mapping[str, str] | None = None,
        body: object = None,
        *,
        there_is_fine: bool = False,
    ) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        answer = self._request(method, path, arguments or {}, data)
        found = _json(answer.data)
        if answer.status >= 300 and not (there_is_fine and answer.status == 409):
            said = found.get("message") or found.get("error") or answer.data[:120].decode("utf-8", "replace")
            raise SeriesError(f"InfluxDB at {self.url} refuses {method} {path} ({answer.status}: {said})")
        return found

    def _request(
        self, method: str, path: str, arguments: Mapping[str, str], body: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        place = f"{self.url}{path}" + (f"?{urlencode(arguments)}" if arguments else "")
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        try:
            return self._pool.request(method, place, headers=headers, body=body)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise SeriesError(f"InfluxDB at {self.url} cannot be reached ({type(error).__name__})") from error


def _headers(environ: Mapping[str, str], with_token: bool) -> dict[str, str]:
    if with_token:
        return {"Authorization": f"Token {environ[TOKEN[0]]}"}
    return dict(urllib3.make_headers(basic_auth=":".join(environ.get(name, "") for name in PASSWORD[:2])))


def _json(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
