"""The accounts of one store, as pages and commands use them."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from broker.private_files import make_private_folder
from dashboard.accounts import actions, invitations, people, sessions, tokens
from dashboard.accounts.database import Database
from dashboard.accounts.people import Account, Role
from dashboard.bills import disputes
from dashboard.settings import folder


class Person(Protocol):
    """Who does something: a visitor of the pages."""

    @property
    def account(self) -> str | None: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> Role | None: ...


@dataclass(frozen=True, slots=True)
class ByCommand:
    """Somebody at the machine itself, who uses the command line."""

    name: str
    account: None = None
    role: None = None


class Accounts:
    """Everything below STORE/dashboard/accounts.sqlite. ``now`` is wall time [epoch s], whatever the market's clock.

    Raises AccountsError when the file cannot be used.
    """

    def __init__(self, store: Path, now: Callable[[], float] = time.time) -> None:
        make_private_folder(folder(store))
        self.db = Database(folder(store))
        self._now = now
        row = self.db.row("SELECT value FROM secret WHERE name = 'key'")
        assert row is not None
        self._key: bytes = row[0]

    def close(self) -> None:
        self.db.close()

    def now(self) -> int:
        return int(self._now())

    def seal(self, purpose: str, *parts: str) -> str:
        """A keyed hash of parts: the same for the same parts, and nobody else can make it."""
        message = "\0".join((purpose, *parts)).encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    # -- what other rooms use ----------------------------------------------------------------

    def people(self) -> list[Account]:
        """Everybody who can sign in."""
        return people.everybody(self.db)

    def account(self, account: str) -> Account | None:
        return people.by_id(self.db, account)

    def of_household(self, household: str) -> list[Account]:
        return people.of_household(self.db, household)

    def invite(self, role: Role, household: str | None, by: Person) -> str:
        """The token of a new one-time link /invitation/<token>, which works for a week."""
        token = invitations.make(self.db, role, household, by.name, self.now())
        self.log(by, "invite", role, household)
        return token

    def invitations(self) -> list[invitations.Invitation]:
        """Those that nobody has used yet."""
        return invitations.waiting(self.db, self.now())

    def withdraw(self, invitation: str) -> bool:
        """Whether there was such an invitation to end."""
        return invitations.withdraw(self.db, invitation)

    def open_door(self, name: str, role: Role, household: str | None, lifetime_s: int) -> str:
        """A new account without password or passkey, and the token of a link /invitation/<token> that signs in as it,
        as often as it is opened: for a demo on one's own machine."""
        account = people.add(self.db, name, role, household, None, self.now())
        return invitations.make(
            self.db, role, household, name, self.now(), account=account.account, lifetime_s=lifetime_s
        )

    def has_passkeys(self) -> bool:
        return self.db.row("SELECT 1 FROM passkey LIMIT 1") is not None

    def remove(self, account: str) -> None:
        """Erase an account: its password, passkeys, sessions, tokens, and its name wherever it stands."""
        with self.db.transaction():
            found = people.by_id(self.db, account)
            if found is not None:
                disputes.forget(self.db, found.name)
                self.db.write("UPDATE invitation SET made_by = '' WHERE made_by = ?", (found.name,))
            self.db.write("UPDATE log SET name = '' WHERE account = ?", (account,))
            self.db.write("DELETE FROM account WHERE id = ?", (account,))

    def log(self, by: Person, action: str, detail: str = "", household: str | None = None) -> None:
        """Write down who did what; what concerns a household is visible to it."""
        actions.write(self.db, by.account, by.name, by.role or "", action, household, detail, self.now())

    def look(self, by: Person, household: str) -> None:
        """Somebody read a household's figures who is not of it; written once an hour."""
        assert by.account is not None
        actions.look(self.db, by.account, by.name, by.role or "", household, self.now())

    def log_entries(self, most: int = 200, before: int | None = None) -> list[actions.Entry]:
        """What everybody did, the newest first."""
        return actions.everything(self.db, most, before)

    def looks_at(self, household: str, most: int = 100) -> list[actions.Entry]:
        """Who looked at or changed a household's data, the newest first."""
        return actions.of_household(self.db, household, most)

    def shows_name(self, household: str) -> bool:
        """Whether everybody of the household agreed to be named to neighbours who agree too."""
        members = people.of_household(self.db, household)
        return bool(members) and all(member.shown for member in members)

    def pseudonym(self, viewer: str, household: str) -> int:
        """A number that stands for ``household`` on ``viewer``'s pages only: two viewers cannot compare notes."""
        return int(self.seal("pseudonym", viewer, household)[:12], 16)

    # -- sessions and tokens -----------------------------------------------------------------

    def session(self, token: str) -> sessions.Session | None:
        return sessions.find(self.db, token, self.now())

    def begin_session(self, account: str, address: str, agent: str) -> str:
        return sessions.begin(self.db, account, address, agent, self.now())

    def end_session(self, token: str) -> None:
        session = self.session(token)
        if session is not None:
            sessions.end(self.db, session.account, session.session)

    def token(self, secret: str) -> tokens.ApiToken | None:
        return tokens.find(self.db, secret, self.now())
