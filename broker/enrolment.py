"""One-time enrolment tokens, and the QR code that carries one to a meter.

The code reads ``PUMASI:1:<host>:<port>:<token>:<SHA-256 of the authority's certificate>``, upper case throughout (a QR
code's alphanumeric mode). It holds no key: the token fetches them once, over TLS, from a server whose authority has
that hash. Tokens are stored hashed; a token that was used, or replaced by a newer one, never works again.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Collection
from pathlib import Path

import msgspec

from broker import certificates, site
from broker.private_files import make_private_folder, write_private

FOLDER = "enrolment"
TOKEN_BYTES = 16
TOKEN_LENGTH = 26
LIFETIME_S = 7 * 86_400


class RefusedError(Exception):
    """The token is refused; the message is the named reason: token-unknown, token-used or token-expired."""


class Token(msgspec.Struct, frozen=True):
    """What is kept of a token, in a file named by its hash."""

    meter: str
    expires_at: int
    used_at: int | None = None


def new_tokens(store: Path, meters: Collection[str], now: int) -> dict[str, str]:
    """For each meter a token that enrols it within a week [``now`` is epoch s]; older ones of it end."""
    forget(store, meters)
    make_private_folder(_folder(store))
    tokens = {}
    for meter in meters:
        token = base64.b32encode(secrets.token_bytes(TOKEN_BYTES)).decode().rstrip("=")
        assert len(token) == TOKEN_LENGTH
        write_private(_path(store, token), msgspec.json.encode(Token(meter, now + LIFETIME_S)))
        tokens[meter] = token
    return tokens


def redeem(store: Path, token: str, now: int) -> str:
    """The meter that this token enrols; durably used when this returns. Raises RefusedError."""
    path = _path(store, token)
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Token)
    except FileNotFoundError:
        raise RefusedError("token-unknown") from None
    if kept.used_at is not None:
        raise RefusedError("token-used")
    if now >= kept.expires_at:
        raise RefusedError("token-expired")
    write_private(path, msgspec.json.encode(msgspec.structs.replace(kept, used_at=now)))
    return kept.meter


def forget(store: Path, meters: Collection[str]) -> None:
    """End the meters' tokens that were not used."""
    ended = set(meters)
    for path, token in _kept(store):
        if token.meter in ended and token.used_at is None:
            path.unlink()


def open_until(store: Path, now: int) -> dict[str, int]:
    """Meter -> until when [epoch s] a token of it works."""
    return {t.meter: t.expires_at for _, t in _kept(store) if t.used_at is None and now < t.expires_at}


def sweep(store: Path, now: int) -> None:
    """Remove tokens that ended a lifetime ago: until then their reason is told, later they are unknown."""
    for path, token in _kept(store):
        if now >= token.expires_at + LIFETIME_S:
            path.unlink()


def qr_text(store: Path, token: str) -> str:
    """The text of the QR code. Raises SiteError."""
    place = site.load(store)
    digest = hashlib.sha256(certificates.der(site.certificate(store, "ca"))).hexdigest()
    return f"PUMASI:1:{place.hosts[0]}:{place.hub_port}:{token}:{digest}".upper()


def _folder(store: Path) -> Path:
    return site.directory(store) / FOLDER


def _path(store: Path, token: str) -> Path:
    return _folder(store) / f"{hashlib.sha256(token.upper().encode()).hexdigest()}.json"


def _kept(store: Path) -> list[tuple[Path, Token]]:
    return [
        (path, msgspec.json.decode(path.read_bytes(), type=Token)) for path in sorted(_folder(store).glob("*.json"))
    ]
