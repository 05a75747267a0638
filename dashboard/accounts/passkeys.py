"""Passkeys (WebAuthn level 3): made and used by the browser, checked by the webauthn library, kept here.

A passkey holds for one name (the relying party's id) for ever; that is why ``pumasi dashboard init`` sets it. Browsers
offer passkeys over TLS and on ``localhost`` only.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import options_to_json_dict, parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from dashboard.accounts.database import AccountsError, Database

CHALLENGE_S = 300
CHALLENGES_KEPT = 2000
MOST_PER_ACCOUNT = 20
MALFORMED = (WebAuthnException, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What the library raises over bytes that are no passkey: its own kind is not all of it."""


class PasskeyError(AccountsError):
    """The passkey is not accepted; the message is the name of the problem."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """Times are epoch s."""

    passkey: str
    name: str
    made_at: int
    used_at: int | None


@dataclass(frozen=True, slots=True)
class Challenge:
    """What was asked of a browser: for whom and what for, and the random bytes it must sign."""

    purpose: str
    account: str
    challenge: bytes
    ends_at: float


class Challenges:
    """Open challenges, each good for one answer; the oldest of too many is forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Challenge] = OrderedDict()

    def begin(self, purpose: str, account: str = "") -> tuple[str, bytes]:
        """A number to answer by, and the challenge."""
        number, challenge = secrets.token_urlsafe(16), secrets.token_bytes(32)
        with self._lock:
            self._open[number] = Challenge(purpose, account, challenge, self._clock() + CHALLENGE_S)
            while len(self._open) > CHALLENGES_KEPT:
                self._open.popitem(last=False)
        return number, challenge

    def take(self, number: str, purpose: str) -> Challenge:
        """Raises PasskeyError when it is not open, or for something else."""
        with self._lock:
            found = self._open.pop(number, None)
        if found is None or found.purpose != purpose or self._clock() > found.ends_at:
            raise PasskeyError("passkey-late")
        return found


def creation_options(name: str, community: str, account: str, person: str, challenge: bytes, db: Database) -> Any:
    """What the browser needs to make a passkey: one that is found without a name, and that checks who holds it."""
    known = db.rows("SELECT credential FROM passkey WHERE account = ?", (account,))
    return options_to_json_dict(
        generate_registration_options(
            rp_id=name,
            rp_name=community,
            user_id=bytes.fromhex(account),
            user_name=person,
            challenge=challenge,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=row[0]) for row in known],
        )
    )


def request_options(name: str, challenge: bytes) -> Any:
    """What the browser needs to sign in with whatever passkey it has for this name."""
    return options_to_json_dict(
        generate_authentication_options(
            rp_id=name, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
        )
    )


def keep(
    db: Database, account: str, label: str, credential: Any, challenge: bytes, name: str, origin: str, now: int
) -> None:
    """Check and keep a new passkey of an account. Raises PasskeyError."""
    try:
        made = verify_registration_response(
            credential=json.dumps(credential),
            expected_challenge=challenge,
            expected_rp_id=name,
            expected_origin=origin,
            require_user_verification=True,
        )
    except MALFORMED as error:
        raise PasskeyError("passkey-refused") from error
    with db.transaction():
        (count,) = db.row("SELECT count(*) FROM passkey WHERE account = ?", (account,)) or (0,)
        if count >= MOST_PER_ACCOUNT:
            raise PasskeyError("passkey-many")
        try:
            db.write(
                "INSERT INTO passkey VALUES(?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    made.credential_id, secrets.token_hex(8), account, label, made.credential_public_key,
                    made.sign_count, now,
                ),
            )  # fmt: skip
        except sqlite3.IntegrityError:
            raise PasskeyError("passkey-refused") from None


def account_of(db: Database, credential: Any, challenge: bytes, name: str, origin: str, now: int) -> str:
    """The account whose passkey answered the challenge. Raises PasskeyError."""
    try:
        answer = parse_authentication_credential_json(json.dumps(credential))
        row = db.row("SELECT account, public_key, count FROM passkey WHERE credential = ?", (answer.raw_id,))
        if row is None:
            raise PasskeyError("passkey-unknown")
        account, public_key, count = row
        checked = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=name,
            expected_origin=origin,
            credential_public_key=public_key,
            credential_current_sign_count=count,
            require_user_verification=True,
        )
    except MALFORMED as error:
        raise PasskeyError("passkey-refused") from error
    held_by = answer.response.user_handle
    if held_by is not None and held_by.hex() != account:
        raise PasskeyError("passkey-refused")
    db.write(
        "UPDATE passkey SET count = ?, used_at = ? WHERE credential = ?", (checked.new_sign_count, now, answer.raw_id)
    )
    return str(account)


def of(db: Database, account: str) -> list[Passkey]:
    rows = db.rows("SELECT id, name, made_at, used_at FROM passkey WHERE account = ? ORDER BY made_at, id", (account,))
    return [Passkey(*row) for row in rows]


def forget(db: Database, account: str, passkey: str) -> bool:
    """Whether the account had such a passkey. Raises PasskeyError when nothing else would let it sign in."""
    with db.transaction():
        row = db.row(
            "SELECT password IS NULL AND (SELECT count(*) FROM passkey WHERE account = account.id) < 2"
            " FROM account WHERE id = ?",
            (account,),
        )
        if row is not None and row[0]:
            raise PasskeyError("last-way-in")
        return db.write("DELETE FROM passkey WHERE account = ? AND id = ?", (account, passkey)) > 0


def where(scheme: str, host: str | None, name: str) -> str | None:
    """Why browsers offer no passkeys at this address, None where they do: see ``account.without.<reason>``."""
    if host == name and (scheme == "https" or name == "localhost"):
        return None
    if host in ("127.0.0.1", "::1"):
        return "use-localhost"
    if scheme != "https":
        return "needs-https"
    return "other-name"
