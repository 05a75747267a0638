"""The brokers' password file, in Mosquitto's format: `user:$7$<iterations>$<salt>$<hash>`, PBKDF2-HMAC-SHA512."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path

ITERATIONS = 101
"""What mosquitto_passwd takes. More would slow down thousands of connections and protect nothing: passwords here are
drawn at random, not thought up, and cannot be guessed at any speed."""
_SALT_BYTES = 12
_HASH_BYTES = 64


def hashed(password: str, salt: bytes | None = None) -> str:
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, _HASH_BYTES)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def matches(password: str, entry: str) -> bool:
    """True when the password is the one of the entry. ValueError when the entry is not in the format."""
    empty, kind, iterations, salt, digest = entry.split("$")
    if (empty, kind) != ("", "7"):
        raise ValueError("not an entry of the kind $7$")
    tried = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), int(iterations), _HASH_BYTES)
    return hmac.compare_digest(tried, base64.b64decode(digest))


def password_file(accounts: Mapping[str, str]) -> str:
    """ValueError for a user or password that the file's lines cannot carry."""
    for user, password in accounts.items():
        if not user or not password or any(c in user for c in ":\r\n"):
            raise ValueError(f"the account {user!r} needs a user without a colon and a password")
    return "".join(f"{user}:{hashed(password)}\n" for user, password in accounts.items())


def read_password_file(path: Path) -> dict[str, str]:
    """User -> entry."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split(":", 1) for line in lines if line)
