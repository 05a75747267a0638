"""Who asks, and what they may: the dependencies every route has, and the problems they answer with."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyCookie, HTTPBearer, SecurityScopes

from dashboard import words
from dashboard.accounts import Accounts
from dashboard.accounts.people import Account, Role
from dashboard.accounts.sessions import LONGEST_S

if TYPE_CHECKING:
    from dashboard.site import Site

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SCOPES: dict[Role, tuple[str, ...]] = {
    "household": ("household:read", "household:write"),
    "operator": ("operator:write", "auditor:read", "household:read"),
    "auditor": ("auditor:read", "household:read"),
}
"""What each role may; an operator or auditor who lives here also has its household's scopes."""
ALL_SCOPES = ("household:read", "household:write", "auditor:read", "operator:write")

HouseholdId = Annotated[str, Path(pattern="^[a-z0-9-]{1,32}$", description="a household's id")]
FORM_FIELD, HEADER = "csrf", "X-CSRF"

_PATH = re.compile(r"/(?![/\\\\])[!-\[\]-~]{0,500}")
"""A path of printable ASCII without a backslash, which does not begin like //host."""
_SHAPE = {
    "type": "object",
    "required": ["problem", "detail"],
    "properties": {"problem": {"type": "string"}, "detail": {"type": "string"}},
}
_CONTENT = {"application/json": {"schema": _SHAPE}, "text/html": {"schema": {"type": "string"}}}
problems: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": _CONTENT}
    for status, text in {
        400: "what was sent cannot be read",
        401: "not signed in, or the token is not known",
        403: "not yours, not within the token's scopes, or no CSRF token",
        404: "there is no such thing",
        409: "cannot be done as things stand",
        413: "too much was sent",
        422: "a value is not one that can be",
        429: "too often",
        503: "figures cannot be read right now",
    }.items()
}
problems[303] = {"description": "a browser goes on to Location; a page without session leads to the sign-in"}
"""Every route has these answers (FastAPI's ``responses``); declare others beside them."""


class Problem(Exception):  # noqa: N818  (it is what the API calls it)
    """An expected failure with a name: {"problem": name, "detail": "one line"} in the API, a page elsewhere.

    ``detail`` is for programs and in English. What a page says is the text ``<area>.problem.<name>``.
    """

    def __init__(self, status: int, problem: str, detail: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{problem}: {detail}")
        self.status, self.problem, self.detail, self.headers = status, problem, detail, headers or {}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. Without an account: ``account`` and ``role`` are None. ``session`` is None for a bearer token."""

    account: str | None
    name: str
    role: Role | None
    household: str | None
    language: str
    scopes: frozenset[str]
    csrf: str
    session: str | None = None

    def may_read(self, household: str) -> bool:
        return self.role in ("operator", "auditor") or (self.household is not None and self.household == household)

    def may_write(self, household: str) -> bool:
        return self.household == household and "household:write" in self.scopes


def session_cookie(request: Request) -> str:
    """The cookie's name. Over TLS its prefix makes browsers keep it to this host and to TLS (RFC 6265bis, 4.1.3.2)."""
    return "__Host-pumasi" if request.url.scheme == "https" else "pumasi"


def visit_cookie(request: Request) -> str:
    """The cookie that the forms of somebody who is not signed in are tied to."""
    return "__Host-visit" if request.url.scheme == "https" else "visit"


def site_of(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


_by_session = APIKeyCookie(name="pumasi", scheme_name="session", auto_error=False)
_by_token = HTTPBearer(scheme_name="token", auto_error=False)


def identify(request: Request) -> Visitor:
    """Who asks, by bearer token or session. Raises Problem for a token that is not known."""
    accounts = site_of(request).accounts
    authorization = request.headers.get("authorization")
    if authorization is not None:
        token = accounts.token(bearer(request))
        account = None if token is None else accounts.account(token.account)
        if token is None or account is None:
            raise Problem(401, "token-unknown", "this token is not known here", {"WWW-Authenticate": "Bearer"})
        return _visitor(request, account, frozenset(token.scopes) & scopes_of(account), "", None)
    cookie = request.cookies.get(session_cookie(request))
    session = accounts.session(cookie) if cookie else None
    account = None if session is None else accounts.account(session.account)
    if cookie and session is not None and account is not None:
        return _visitor(request, account, scopes_of(account), csrf_token(accounts, cookie), session.session)
    return nobody(request)


def bearer(request: Request) -> str:
    """The token that was sent; empty for none."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


def csrf_token(accounts: Accounts, cookie: str) -> str:
    """What a form carries: bound to the cookie, and new in every answer, since answers are compressed (BREACH)."""
    salt = secrets.token_hex(8)
    return f"{salt}.{accounts.seal('csrf', salt, cookie)}"


def nobody(request: Request) -> Visitor:
    """Somebody who is not signed in."""
    visit = request.cookies.get(visit_cookie(request))
    csrf = csrf_token(site_of(request).accounts, visit) if visit else ""
    return Visitor(None, "", None, None, _language(request), frozenset(), csrf)


def next_query(place: str) -> str:
    """The query that leads back to ``place`` after signing in."""
    return urlencode({"next": place})


def safe_next(place: str | None) -> str | None:
    """``place`` if it is a path of these pages, and nothing that a browser could take for another host."""
    if place is None or not _PATH.fullmatch(place):
        return None
    return place


def home_of(account: Account | Visitor) -> str:
    """Where somebody who signed in begins."""
    if account.household is not None:
        return f"/household/{account.household}"
    return "/operator" if account.role in ("operator", "auditor") else "/"


def open_session(request: Request, answer: Response, account: Account) -> None:
    """A new session for whoever proved to be ``account``; the browser's earlier one ends."""
    accounts, name = site_of(request).accounts, session_cookie(request)
    before = request.cookies.get(name)
    if before:
        accounts.end_session(before)
    token = accounts.begin_session(account.account, address_of(request), request.headers.get("user-agent", ""))
    secure = request.url.scheme == "https"
    answer.set_cookie(name, token, max_age=LONGEST_S, path="/", secure=secure, httponly=True, samesite="lax")


def close_session(request: Request, answer: Response) -> None:
    """End the browser's session, and have it forget what it kept of these pages."""
    name = session_cookie(request)
    token = request.cookies.get(name)
    if token:
        site_of(request).accounts.end_session(token)
    answer.delete_cookie(name, path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax")
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'


def address_of(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def scopes_of(account: Account) -> frozenset[str]:
    own = SCOPES["household"] if account.household is not None else ()
    return frozenset((*SCOPES[account.role], *own))


async def anyone(request: Request, visitor: Annotated[Visitor, Depends(identify)]) -> Visitor:
    """Everybody, signed in or not. Unsafe methods need the CSRF token that came with the form."""
    await _check_csrf(request, visitor)
    return visitor


async def starting(request: Request, visitor: Annotated[Visitor, Depends(identify)]) -> Visitor:
    """Everybody; whoever is not signed in gets the cookie that this page's forms are tied to."""
    if request.method in SAFE_METHODS and not visitor.csrf and visitor.account is None:
        request.state.visit = secrets.token_urlsafe(32)
        csrf = csrf_token(site_of(request).accounts, request.state.visit)
        return Visitor(None, "", None, None, visitor.language, frozenset(), csrf)
    await _check_csrf(request, visitor)
    return visitor


async def signed_in(
    request: Request,
    scopes: SecurityScopes,
    visitor: Annotated[Visitor, Depends(identify)],
    _session: Annotated[str | None, Depends(_by_session)] = None,
    _token: Annotated[Any, Depends(_by_token)] = None,
) -> Visitor:
    """Whoever has an account, within the scopes."""
    if visitor.account is None:
        raise Problem(401, "not-signed-in", "sign in, or send a token: Authorization: Bearer …")
    await _check_csrf(request, visitor)
    missing = [scope for scope in scopes.scopes if scope not in visitor.scopes]
    if missing:
        if visitor.session is None and visitor.role is not None and set(missing) <= set(SCOPES[visitor.role]):
            raise Problem(403, "scope", f"this token lacks the scope {', '.join(missing)}")
        raise Problem(403, "not-yours", "this is not for your account")
    return visitor


async def own_session(visitor: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
    """Whoever is signed in with a browser: accounts are not managed by tokens."""
    if visitor.session is None:
        raise Problem(403, "not-by-token", "this needs a person who is signed in, not a token")
    return visitor


async def of_household(
    request: Request, household: HouseholdId, visitor: Annotated[Visitor, Depends(signed_in)]
) -> Visitor:
    """A household's own people; operator and auditor may read, and the household sees that they did."""
    safe = request.method in SAFE_METHODS
    # Whether the household exists is nobody else's business: the answer is the same.
    if not (visitor.may_read(household) if safe else visitor.may_write(household)):
        raise Problem(403, "not-yours", "this household is not yours")
    site = site_of(request)
    if not any(member.household == household for member in await run_in_threadpool(site.record.households)):
        raise Problem(404, "no-household", "there is no such household")
    if visitor.household == household and safe:
        # What a household's own browser may keep to be read without a connection; see static/sw.js.
        request.state.offline = site.accounts.seal("offline", visitor.account or "")[:16]
    if visitor.household != household:
        await run_in_threadpool(site.accounts.look, visitor, household)
    return visitor


async def operators(visitor: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
    """Operators."""
    if visitor.role != "operator":
        raise Problem(403, "not-yours", "this is for operators")
    return visitor


async def auditors(visitor: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
    """Operators and auditors."""
    if visitor.role not in ("operator", "auditor"):
        raise Problem(403, "not-yours", "this is for operators and auditors")
    return visitor


def _visitor(request: Request, account: Account, scopes: frozenset[str], csrf: str, session: str | None) -> Visitor:
    language = account.language or _language(request)
    return Visitor(account.account, account.name, account.role, account.household, language, scopes, csrf, session)


def _language(request: Request) -> str:
    chosen = request.cookies.get("language", "")
    return chosen if chosen in words.LANGUAGES else words.choose(request.headers.get("accept-language", ""))


async def _check_csrf(request: Request, visitor: Visitor) -> None:
    if request.method in SAFE_METHODS or (visitor.account is not None and visitor.session is None):
        return
    sent = request.headers.get(HEADER)
    if sent is None and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        field = (await request.form()).get(FORM_FIELD)
        sent = field if isinstance(field, str) else None
    cookie = request.cookies.get(visit_cookie(request) if visitor.session is None else session_cookie(request), "")
    salt, _, seal = (sent or "").partition(".")
    right = site_of(request).accounts.seal("csrf", salt, cookie)
    if not cookie or not hmac.compare_digest(seal.encode(), right.encode()):
        raise Problem(403, "csrf", "the form is not this session's; load the page again")
