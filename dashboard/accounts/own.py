"""One's own account: ways in, sessions, tokens, language, names to neighbours, who looked, and erasing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dashboard import access
from dashboard.access import ALL_SCOPES, Problem, Visitor, own_session, signed_in
from dashboard.accounts import Accounts, passkeys, passwords, people, sessions, tokens
from dashboard.accounts.actions import Entry
from dashboard.accounts.database import AccountsError
from dashboard.accounts.entry import (
    TRIES,
    TRIES_S,
    Answer,
    Entered,
    Options,
    Password,
    check_passkeys,
    check_tries,
    origin,
    passkey_trouble,
)
from dashboard.accounts.limits import Limits
from dashboard.accounts.passkeys import Challenges, Passkey
from dashboard.accounts.people import Account, Role
from dashboard.household.storing import take_out
from dashboard.site import Site
from market.record import RecordError

Number = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
Own = Annotated[Visitor, Depends(own_session)]
LOOKS_SHOWN = 50
BROWSERS = ("Edg", "Firefox", "Chrome", "Safari")
SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")
NAMES = {"Edg": "Edge", "Mac OS X": "macOS"}


@dataclass(frozen=True, slots=True)
class OwnSession:
    """Times are epoch s. ``device``: browser and system as far as they are known."""

    session: str
    device: str
    address: str
    made_at: int
    seen_at: int
    current: bool


@dataclass(frozen=True, slots=True)
class OwnToken:
    """Times are epoch s."""

    token: str
    name: str
    scopes: Sequence[str]
    made_at: int
    used_at: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """Somebody of another role read or changed the household's data [epoch s]."""

    at: int
    name: str
    role: str
    action: str
    detail: str


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as its owner sees it."""

    name: str
    role: Role
    household: str | None
    language: str
    has_password: bool
    shown: bool
    passkeys: Sequence[Passkey]
    sessions: Sequence[OwnSession]
    tokens: Sequence[OwnToken]
    scopes: Sequence[str]
    looks: Sequence[Look]


@dataclass(frozen=True, slots=True)
class TokenView:
    """What a token may know of itself: nothing of the account behind it but whose figures it reads."""

    name: str
    scopes: Sequence[str]
    household: str | None
    language: str


def view(site: Site, visitor: Visitor) -> AccountView:
    accounts = site.accounts
    account = own_account(accounts, visitor)
    looks = [] if account.household is None else accounts.looks_at(account.household, LOOKS_SHOWN)
    return AccountView(
        name=account.name,
        role=account.role,
        household=account.household,
        language=visitor.language,
        has_password=account.has_password,
        shown=account.shown,
        passkeys=passkeys.of(accounts.db, account.account),
        sessions=[
            OwnSession(s.session, device(s.agent), s.address, s.made_at, s.seen_at, s.session == visitor.session)
            for s in sessions.of(accounts.db, account.account, accounts.now())
        ],
        tokens=[
            OwnToken(t.token, t.name, sorted(t.scopes), t.made_at, t.used_at)
            for t in tokens.of(accounts.db, account.account)
        ],
        scopes=[scope for scope in ALL_SCOPES if scope in access.scopes_of(account)],
        looks=[_look(entry) for entry in looks],
    )


def own_account(accounts: Accounts, visitor: Visitor) -> Account:
    assert visitor.account is not None
    account = accounts.account(visitor.account)
    assert account is not None
    return account


def _look(entry: Entry) -> Look:
    return Look(entry.at, entry.name, entry.role, entry.action, entry.detail)


def device(agent: str) -> str:
    """A browser's User-Agent as "Firefox, Linux"; empty where nothing is recognised."""
    found = (next((name for name in known if name in agent), "") for known in (BROWSERS, SYSTEMS))
    return ", ".join(NAMES.get(name, name) for name in found if name)


def router(site: Site, challenges: Challenges) -> APIRouter:
    routes = APIRouter()
    accounts = site.accounts
    limits = Limits(TRIES, TRIES_S)

    def page(request: Request, visitor: Visitor, problem: str = "", **context: object) -> HTMLResponse:
        return site.page(
            request, "account/account.html", visitor, 422 if problem else 200, view=view(site, visitor),
            problem=problem, without=passkey_trouble(request, site), shortest=passwords.SHORTEST, **context,
        )  # fmt: skip

    def back() -> Response:
        return RedirectResponse("/account", 303)

    @routes.get("/account", response_class=HTMLResponse)
    def account_page(request: Request, visitor: Own) -> HTMLResponse:
        """One's own account."""
        return page(request, visitor)

    @routes.get("/api/1/account")
    def account_json(request: Request, visitor: Annotated[Visitor, Depends(signed_in)]) -> AccountView | TokenView:
        """One's own account; to a token, what it is itself."""
        if visitor.session is not None:
            return view(site, visitor)
        token = accounts.token(access.bearer(request))
        if token is None:  # ended a moment ago
            raise Problem(401, "token-unknown", "this token is not known here", {"WWW-Authenticate": "Bearer"})
        return TokenView(token.name, sorted(visitor.scopes), visitor.household, visitor.language)

    @routes.post("/account/password", response_class=RedirectResponse, status_code=303)
    def change_password(
        request: Request, visitor: Own, password: Password, again: Password, current: Password = ""
    ) -> Response:
        """A new password; every other session ends."""
        assert visitor.account is not None
        kept = people.password_of(accounts.db, visitor.account)
        if kept is not None:
            check_tries(limits, {"both": visitor.account})
            if not passwords.right(kept, current):
                return page(request, visitor, "wrong-password")
            limits.forget({"both": visitor.account})
        try:
            passwords.check(password, visitor.name, site.record.community().name)
            if password != again:
                raise AccountsError("password-differs")
        except AccountsError as error:
            return page(request, visitor, str(error))
        people.set_password(accounts.db, visitor.account, passwords.hashed(password))
        sessions.end_all(accounts.db, visitor.account, but=visitor.session)
        accounts.log(visitor, "password-changed")
        return back()

    @routes.post("/account/passkeys/options")
    def passkey_options(request: Request, visitor: Own) -> Options:
        """Begin to make a passkey."""
        check_passkeys(request, site)
        assert visitor.account is not None
        # Open challenges are bounded for everybody together: nobody begins so many that others' are forgotten.
        check_tries(limits, {"name": visitor.account})
        number, challenge = challenges.begin("passkey", visitor.account)
        options = passkeys.creation_options(
            site.settings.name, site.record.community().name, visitor.account, visitor.name, challenge, accounts.db
        )
        return Options(number=number, options=options)

    @routes.post("/account/passkeys")
    def add_passkey(request: Request, visitor: Own, answer: Answer) -> Entered:
        """Keep the passkey that was just made."""
        check_passkeys(request, site)
        assert visitor.account is not None
        try:
            challenge = challenges.take(answer.number, "passkey")
            if challenge.account != visitor.account:
                raise passkeys.PasskeyError("passkey-late")
            passkeys.keep(
                accounts.db, visitor.account, answer.name.strip()[:64], answer.credential, challenge.challenge,
                site.settings.name, origin(request), accounts.now(),
            )  # fmt: skip
        except AccountsError as error:
            raise Problem(422, str(error), "the passkey was not kept") from None
        accounts.log(visitor, "passkey-added")
        return Entered(next="/account")

    @routes.post("/account/passkeys/{passkey}/end", response_class=RedirectResponse, status_code=303)
    def end_passkey(request: Request, visitor: Own, passkey: Number) -> Response:
        """Forget a passkey."""
        assert visitor.account is not None
        try:
            if not passkeys.forget(accounts.db, visitor.account, passkey):
                raise Problem(404, "not-found", "no such passkey of yours")
        except passkeys.PasskeyError as error:
            return page(request, visitor, str(error))
        accounts.log(visitor, "passkey-ended")
        return back()

    @routes.post("/account/sessions/{session}/end", response_class=RedirectResponse, status_code=303)
    def end_session(request: Request, visitor: Own, session: Number) -> Response:
        """Sign another browser out; one's own too."""
        assert visitor.account is not None
        if not sessions.end(accounts.db, visitor.account, session):
            raise Problem(404, "not-found", "no such session of yours")
        return back()

    @routes.post("/account/sign-out-everywhere", response_class=RedirectResponse, status_code=303)
    def sign_out_everywhere(request: Request, visitor: Own) -> Response:
        """End every session of the account, this one too."""
        assert visitor.account is not None
        sessions.end_all(accounts.db, visitor.account)
        accounts.log(visitor, "signed-out-everywhere")
        answer = RedirectResponse("/sign-in", 303)
        access.close_session(request, answer)
        return answer

    @routes.post("/account/tokens", response_class=HTMLResponse)
    def make_token(
        request: Request,
        visitor: Own,
        name: Annotated[str, Form(max_length=64)],
        scopes: Annotated[list[str] | None, Form(max_length=10)] = None,
    ) -> HTMLResponse:
        """An API token; the page that answers is the only one that ever shows it."""
        assert visitor.account is not None
        chosen = set(scopes or [])
        if not name.strip() or not chosen:
            return page(request, visitor, "token-empty")
        if not chosen <= visitor.scopes:
            raise Problem(422, "bad-value", f"scopes: yours are {', '.join(sorted(visitor.scopes))}")
        try:
            secret = tokens.make(accounts.db, visitor.account, name.strip(), chosen, accounts.now())
        except AccountsError as error:
            return page(request, visitor, str(error))
        accounts.log(visitor, "token-made", " ".join(sorted(chosen)))
        answer = site.page(request, "account/token.html", visitor, secret=secret, name=name.strip(), chosen=chosen)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @routes.post("/account/tokens/{token}/end", response_class=RedirectResponse, status_code=303)
    def end_token(request: Request, visitor: Own, token: Number) -> Response:
        """End a token."""
        assert visitor.account is not None
        if not tokens.end(accounts.db, visitor.account, token):
            raise Problem(404, "not-found", "no such token of yours")
        accounts.log(visitor, "token-ended")
        return back()

    @routes.post("/account/shown", response_class=RedirectResponse, status_code=303)
    def choose_shown(
        request: Request, visitor: Own, shown: Annotated[str, Form(pattern="^(yes|no)$")] = "no"
    ) -> Response:
        """Whether neighbours who agree to it too see the household's name; who does not is named in no offer."""
        account = own_account(accounts, visitor)
        people.set_shown(accounts.db, account.account, shown == "yes")
        if account.shown and shown == "no" and account.household is not None:
            try:
                take_out(site, visitor, account.household)
            except (Problem, RecordError):
                # Neither is done: the page still offers to withdraw.
                people.set_shown(accounts.db, account.account, account.shown)
                raise
        return back()

    @routes.post("/account/erase", response_class=RedirectResponse, status_code=303)
    def erase(
        request: Request, visitor: Own, name: Annotated[str, Form(max_length=256)], password: Password = ""
    ) -> Response:
        """Erase the account, once its name is typed, and its password where it has one."""
        assert visitor.account is not None
        if people.sign_in_name(name) != people.sign_in_name(visitor.name):
            return page(request, visitor, "erase-name")
        kept = people.password_of(accounts.db, visitor.account)
        if kept is not None:
            check_tries(limits, {"both": visitor.account})
            if not passwords.right(kept, password):
                return page(request, visitor, "wrong-password")
        if people.is_last_operator(accounts.db, visitor.account):
            return page(request, visitor, "last-operator")
        account = own_account(accounts, visitor)
        if account.household is not None and account.shown:
            others = [one for one in accounts.of_household(account.household) if one.account != account.account]
            if not others or not all(one.shown for one in others):
                take_out(site, visitor, account.household)
        accounts.remove(visitor.account)
        answer = RedirectResponse("/", 303)
        access.close_session(request, answer)
        return answer

    return routes
