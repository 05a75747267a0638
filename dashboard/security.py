"""Response headers that keep a page to itself: nothing from elsewhere, nothing inline, no framing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
# No Strict-Transport-Security: it would hold for the name on every port, and shut out what else a home's machine
# serves over plain http. The pages of an https dashboard are not served over http at all.
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
VENDOR = "/static/vendor/"
LARGEST_BODY = 1 << 20
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]{0,5})?", re.ASCII | re.IGNORECASE)
"""A name or an address, and perhaps a port: nothing that could end up in a path."""


class BodyLimit:
    """No request sends more than ``LARGEST_BODY`` bytes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise HTTPException(413, f"more than {LARGEST_BODY} bytes")
            return message

        await self._app(scope, limited, send)


class Hosts:
    """Only names that are ours, and addresses: a name that somebody else pointed at us is refused (DNS rebinding)."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._ours(Headers(scope=scope).get("host", "")):
            body = JSONResponse({"problem": "bad-host", "detail": "these pages are not served under this name"}, 400)
            await body(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        address, name = found[1], (found[2] or "").lower()
        if name in self._names or "*" in self._names:
            return True
        try:
            ipaddress.ip_address(address or name)
        except ValueError:
            return False
        return True


class SecurityHeaders:
    """Pure ASGI, so that event streams pass through unbuffered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                offline = scope.get("state", {}).get("offline")
                if offline is not None and message["status"] == 200:
                    headers["X-Offline"] = offline
                # Vendored files carry their version in their name; everything else is asked for again.
                forever = path.startswith(VENDOR) and message["status"] == 200
                headers.setdefault("Cache-Control", "public, max-age=31536000, immutable" if forever else "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)
