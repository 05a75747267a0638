"""Passwords: Argon2id (RFC 9106), long rather than odd, never cut."""

from __future__ import annotations

import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from dashboard.accounts.database import AccountsError

SHORTEST = 12
LONGEST = 256
_HASHER = PasswordHasher()
"""RFC 9106's second recommendation: 64 MiB, 3 passes, 4 lanes."""
_AT_ONCE = threading.BoundedSemaphore(2)
"""Each takes 64 MiB: many sign-ins at once wait for each other rather than fill a small machine."""
_NOBODY = _HASHER.hash("a password that nobody has")


def check(password: str, *names: str) -> None:
    """Raises AccountsError, whose message is the name of the problem, for what must not be a password."""
    if len(password) < SHORTEST:
        raise AccountsError("password-short")
    if len(password) > LONGEST:
        raise AccountsError("password-long")
    plain = _plain(password).casefold()
    if len(set(plain)) < 4 or any(name and plain == _plain(name).casefold() for name in names):
        raise AccountsError("password-guessed")


def hashed(password: str) -> str:
    with _AT_ONCE:
        return _HASHER.hash(_plain(password))


def right(kept: str | None, password: str) -> bool:
    """Whether it is the password; as slow where there is none, so that nobody learns which names exist."""
    if len(password) > LONGEST:
        password = ""
    with _AT_ONCE:
        try:
            _HASHER.verify(kept or _NOBODY, _plain(password))
        except (VerifyMismatchError, InvalidHashError):
            return False
    return kept is not None


def outdated(kept: str) -> bool:
    return _HASHER.check_needs_rehash(kept)


def _plain(password: str) -> str:
    """One keyboard's é and another's e with an accent are the same (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
