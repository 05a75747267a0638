"""People who are signed in, without typing a password each time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

from dashboard.access import csrf_token
from dashboard.accounts import people
from dashboard.accounts import tokens as api_tokens
from dashboard.site import Site

_ADDRESSES = itertools.count(1)


class Browser(TestClient):
    """A browser: ``csrf`` is what its forms carry, ``submit`` sends one. Redirects are not followed."""

    def __init__(self, app: FastAPI, session: str | None = None, base_url: str = "http://testserver") -> None:
        # Each comes from an address of its own: limits by address are for the tests that are about them.
        number = next(_ADDRESSES)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        super().__init__(app, base_url=base_url, follow_redirects=False, client=(address, 50_000))
        self.csrf = ""
        self.session_token = session
        if session is not None:
            site: Site = app.state.site
            self.cookies.set("__Host-pumasi" if base_url.startswith("https") else "pumasi", session)
            self.csrf = csrf_token(site.accounts, session)

    def submit(self, path: str, fields: dict[str, Any] | None = None, **options: Any) -> Response:
        """POST a form as the page would."""
        return self.post(path, data={"csrf": self.csrf, **(fields or {})}, **options)

    def submit_json(self, path: str, body: Any, method: str = "POST", **options: Any) -> Response:
        """JSON, as the page's script would send it."""
        return self.request(method, path, json=body, headers={"X-CSRF": self.csrf}, **options)


class People:
    """Everybody who might come to ``app``; each call is a new person with a new session."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.site: Site = app.state.site
        self.made = 0

    def household(self, household: str) -> Browser:
        return self._sign_in("household", household)

    def operator(self, household: str | None = None) -> Browser:
        return self._sign_in("operator", household)

    def auditor(self) -> Browser:
        return self._sign_in("auditor", None)

    def anonymous(self) -> Browser:
        return Browser(self.app)

    def token(self, role: people.Role, household: str | None, scopes: Iterable[str]) -> Browser:
        """A script with an API token of these scopes."""
        account = self.account(role, household)
        secret = api_tokens.make(self.site.accounts.db, account.account, "script", frozenset(scopes), 0)
        script = Browser(self.app)
        script.headers["Authorization"] = f"Bearer {secret}"
        return script

    def account(self, role: people.Role, household: str | None) -> people.Account:
        self.made += 1
        accounts = self.site.accounts
        return people.add(accounts.db, f"{household or role} {self.made}", role, household, "en", accounts.now())

    def _sign_in(self, role: people.Role, household: str | None) -> Browser:
        account = self.account(role, household)
        return Browser(self.app, self.site.accounts.begin_session(account.account, "testclient", "tests"))
