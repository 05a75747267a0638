"""The hub: the HTTPS server beside the broker, where meters enrol and fetch their firmware.

==============================  =========================================================================
``GET /ca.der``, ``/ca.pem``    the authority's certificate; a meter checks its hash against the QR code's
``POST /enrol {"token": …}``    configuration, certificate and key, once for each token (``broker.enrolment``)
``GET /firmware/<version>``     a signed bundle; ranges are honoured, so that a broken download goes on
==============================  =========================================================================

What is refused is one named problem: ``{"problem": "token-used"}``. Every body, connection and rate has a bound.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from broker import certificates, enrolment, identities, site
from broker.site import SiteError

MAX_BODY_BYTES = 1024
BODY_TIMEOUT_S = 10.0
CONNECTION_S = 300.0
"""No connection lasts longer, however slowly its other end reads or writes."""
MAX_CONNECTIONS = 128
ATTEMPTS_A_MINUTE = 10
"""Enrolments that one address may try."""
MAX_ADDRESSES = 1000
VERSION = re.compile(r"[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}")
JSON = "application/json"

Refused = Callable[[str, str], None]
"""Counts a refusal: its name, and who was refused."""


class _Attempt(msgspec.Struct, forbid_unknown_fields=True):
    token: str


class Limiter:
    """At most `ATTEMPTS_A_MINUTE` for each address, of the last `MAX_ADDRESSES` that tried."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, address: str) -> bool:
        now_s = self._clock_s()
        tokens, since_s = self._buckets.pop(address, (float(ATTEMPTS_A_MINUTE), now_s))
        tokens = min(float(ATTEMPTS_A_MINUTE), tokens + (now_s - since_s) * ATTEMPTS_A_MINUTE / 60)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - 1 if allowed else tokens, now_s)
        while len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return allowed


def application(store: Path, refused: Refused, say: Callable[[str], None], limiter: Limiter | None = None) -> Starlette:
    """The ASGI application. ``refused`` counts, ``say`` is told who enrolled and what an operator must know."""
    bound = limiter or Limiter()
    one_at_a_time = asyncio.Lock()

    async def authority(request: Request) -> Response:
        certificate = site.certificate(store, "ca")
        if request.url.path.endswith(".pem"):
            return Response(certificates.pem(certificate), media_type="application/x-pem-file")
        return Response(certificates.der(certificate), media_type="application/pkix-cert")

    async def enrol(request: Request) -> Response:
        address = request.client.host if request.client else "?"

        def problem(status: int, name: str) -> Response:
            refused(name, address)
            return Response(msgspec.json.encode({"problem": name}), status, media_type=JSON)

        if not bound.allows(address):
            return problem(429, "too-many")
        body = await _body(request)
        if body is None:
            return problem(413, "too-long")
        try:
            token = msgspec.json.decode(body, type=_Attempt).token
        except (msgspec.DecodeError, UnicodeDecodeError):
            return problem(400, "malformed")
        async with one_at_a_time:
            try:
                meter, answer = await run_in_threadpool(_enrolled, store, token)
            except enrolment.RefusedError as error:
                return problem(403, str(error))
            try:
                await run_in_threadpool(identities.handed_over, store, meter)
            except SiteError as error:
                say(f"{meter}: its older certificate stays good until 'pumasi broker renew': {error}")
        say(f"{meter} has enrolled, from {address}")
        return Response(answer, media_type=JSON, headers={"cache-control": "no-store"})

    async def firmware(request: Request) -> Response:
        version = request.path_params["version"]
        path = site.directory(store) / "firmware" / version
        if not VERSION.fullmatch(version) or not path.is_file():
            return Response(b'{"problem":"no-such-version"}', 404, media_type=JSON)
        return FileResponse(path, media_type="application/octet-stream")

    return Starlette(
        routes=[
            Route("/ca.der", authority),
            Route("/ca.pem", authority),
            Route("/enrol", enrol, methods=["POST"]),
            Route("/firmware/{version}", firmware),
        ],
        middleware=[Middleware(_OneRequest)],
    )


def _enrolled(store: Path, token: str) -> tuple[str, bytes]:
    """The meter of the token, and what it is told. The token is used up before anything is told."""
    meter = enrolment.redeem(store, token, int(time.time()))
    try:
        identity = identities.load(store, meter)
    except SiteError:
        raise enrolment.RefusedError("token-unknown") from None
    if identity.revoked_at is not None:
        raise enrolment.RefusedError("meter-revoked")
    return meter, identities.enrolment_answer(store, identity)


async def _body(request: Request) -> bytes | None:
    """The body; None when it is longer than allowed, takes too long, or breaks off."""
    body = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return body


class _OneRequest:
    """Every connection carries one request: a meter has no use for more, and idle ones would be many."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, closing)


class _BoundedProtocol(H11Protocol):
    """A connection that ends after `CONNECTION_S` at the latest."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._end = self.loop.call_later(CONNECTION_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """Serves on a socket until ``should_exit``; signals are left to who runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def load_certificate(self, store: Path) -> None:
        """Show the certificate in the store from the next connection on. Raises OSError, ssl.SSLError."""
        context = self.config.ssl
        assert context is not None
        folder = site.directory(store)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")


def server(store: Path, app: Starlette) -> Server:
    """Raises SiteError when certificate and key cannot be used."""
    folder = site.directory(store)
    config = uvicorn.Config(
        app,
        http=_BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ssl_certfile=str(folder / "server.pem"),
        ssl_keyfile=str(folder / "server.key"),
        limit_concurrency=MAX_CONNECTIONS,
        backlog=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=8192,
        timeout_graceful_shutdown=1,
    )
    try:
        config.load()
    except OSError as error:
        raise SiteError(f"{folder / 'server.pem'} and its key: {error}") from None
    assert config.ssl is not None
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return Server(config)


def listen(bind: str | None, port: int) -> socket.socket:
    """A listening socket on the address, or on all of the machine. Raises SiteError."""
    try:
        if bind is None and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server((bind or "", port))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise SiteError(f"hub port {port}: {reason}") from None
