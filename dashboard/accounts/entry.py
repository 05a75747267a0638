"""Coming in: signing in by password or passkey, signing out, an invitation taken up, the language chosen."""

from __future__ import annotations

import threading
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from dashboard import access
from dashboard.access import Problem, Visitor, anyone, own_session, starting
from dashboard.accounts import invitations, passkeys, passwords, people
from dashboard.accounts.database import AccountsError
from dashboard.accounts.invitations import Invitation
from dashboard.accounts.limits import Limits
from dashboard.accounts.passkeys import Challenges, PasskeyError
from dashboard.accounts.people import Account
from dashboard.site import Site

TRIES = {"both": 10, "name": 100, "address": 50}
"""Within a quarter of an hour: of one name from one address, of one name, from one address."""
TRIES_S = 900
AT_ONCE = 12
"""Sign-ins that wait for their hash: more would leave no thread for anybody's pages."""

Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{20,64}$")]
Name = Annotated[str, Form(max_length=256)]
Password = Annotated[str, Form(max_length=10_000)]
Next = Annotated[str | None, Query(alias="next", max_length=600)]


class Options(BaseModel):
    """What the browser's passkey dialogue needs; the answer names the number again."""

    number: str
    options: dict[str, Any]


class Answer(BaseModel):
    """The browser's answer to a challenge. ``name``: what the person calls the passkey, or is called."""

    number: str = Field(max_length=64)
    credential: dict[str, Any]
    name: str = Field("", max_length=256)
    next: str | None = Field(None, max_length=600)


class Begin(BaseModel):
    """``name``: what the person is to be called."""

    name: str = Field("", max_length=256)


class Entered(BaseModel):
    """Where to go on."""

    next: str


def router(site: Site, challenges: Challenges) -> APIRouter:
    routes = APIRouter()
    accounts = site.accounts
    limits = Limits(TRIES, TRIES_S)
    at_once = threading.BoundedSemaphore(AT_ONCE)

    def form(request: Request, visitor: Visitor, place: str | None, problem: str = "", name: str = "") -> HTMLResponse:
        return site.page(
            request, "account/sign-in.html", visitor, 403 if problem else 200, next=access.safe_next(place) or "",
            problem=problem, name=name, without=passkey_trouble(request, site), home=None,
        )  # fmt: skip

    @routes.get("/sign-in", response_class=HTMLResponse)
    def sign_in_page(request: Request, visitor: Annotated[Visitor, Depends(starting)], place: Next = None) -> Response:
        """The form; whoever is signed in already goes on."""
        if visitor.account is not None:
            return RedirectResponse(access.safe_next(place) or access.home_of(visitor), 303)
        return form(request, visitor, place)

    @routes.post("/sign-in", response_class=RedirectResponse, status_code=303)
    def sign_in(
        request: Request,
        visitor: Annotated[Visitor, Depends(starting)],
        name: Name,
        password: Password,
        place: Annotated[str, Form(alias="next", max_length=600)] = "",
    ) -> Response:
        """Sign in by name and password."""
        address = access.address_of(request)
        plain = people.sign_in_name(name)
        keys = {"both": f"{plain}\0{address}", "name": plain, "address": address}
        check_tries(limits, keys)
        account = people.by_name(accounts.db, name)
        kept = None if account is None else people.password_of(accounts.db, account.account)
        if not at_once.acquire(blocking=False):
            raise Problem(429, "too-often", "too many sign in at this moment; wait 5 s", {"Retry-After": "5"})
        try:
            right = passwords.right(kept, password)
        finally:
            at_once.release()
        if not right or account is None:
            if account is not None:
                accounts.log(account, "sign-in-failed", address)
            return form(request, visitor, place, "wrong", name)
        if kept is not None and passwords.outdated(kept):
            people.set_password(accounts.db, account.account, passwords.hashed(password))
        limits.forget({"both": keys["both"]})
        return enter(request, account, access.safe_next(place))

    @routes.post("/sign-in/passkey/options")
    def sign_in_options(request: Request, visitor: Annotated[Visitor, Depends(starting)]) -> Options:
        """Begin to sign in with a passkey."""
        check_passkeys(request, site)
        check_tries(limits, {"address": access.address_of(request)})
        number, challenge = challenges.begin("sign-in")
        return Options(number=number, options=passkeys.request_options(site.settings.name, challenge))

    @routes.post("/sign-in/passkey")
    def sign_in_with_passkey(
        request: Request, response: Response, visitor: Annotated[Visitor, Depends(starting)], answer: Answer
    ) -> Entered:
        """Sign in with a passkey."""
        check_passkeys(request, site)
        try:
            challenge = challenges.take(answer.number, "sign-in").challenge
            found = passkeys.account_of(
                accounts.db, answer.credential, challenge, site.settings.name, origin(request), accounts.now()
            )
        except PasskeyError as error:
            raise Problem(403, str(error), "the passkey was not accepted") from None
        account = accounts.account(found)
        assert account is not None
        opened(request, response, account, "passkey")
        return Entered(next=access.safe_next(answer.next) or access.home_of(account))

    @routes.post("/sign-out", response_class=RedirectResponse, status_code=303)
    def sign_out(request: Request, visitor: Annotated[Visitor, Depends(own_session)]) -> Response:
        """End this browser's session."""
        answer = RedirectResponse("/", 303)
        access.close_session(request, answer)
        return answer

    @routes.get("/language", response_class=RedirectResponse, status_code=303)
    def choose_language(
        request: Request,
        visitor: Annotated[Visitor, Depends(anyone)],
        to: Annotated[str, Query(pattern="^(en|ko)$")],
        place: Next = None,
    ) -> Response:
        """Read the pages in another language from now on."""
        if visitor.session is not None and visitor.account is not None:
            people.set_language(accounts.db, visitor.account, to)
        answer = RedirectResponse(access.safe_next(place) or "/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie("language", to, max_age=365 * 86_400, httponly=True, secure=secure, samesite="lax")
        return answer

    # -- invitations -------------------------------------------------------------------------

    def invited(token: str) -> Invitation:
        found = invitations.find(accounts.db, token, accounts.now())
        if found is None:
            raise Problem(404, "invitation-ended", "this invitation was used, withdrawn, or is too old")
        return found

    def welcome(
        request: Request, visitor: Visitor, token: str, found: Invitation, problem: str = "", name: str = ""
    ) -> HTMLResponse:
        household = next((h.name for h in site.record.households() if h.household == found.household), None)
        answer = site.page(
            request, "account/invitation.html", visitor, 422 if problem else 200, token=token, invitation=found,
            household_name=household, problem=problem, name=name or household or "",
            without=passkey_trouble(request, site), shortest=passwords.SHORTEST, home=None,
        )  # fmt: skip
        # The address is a secret while the invitation is open.
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def begin_account(token: str, found: Invitation, name: str, language: str, account: str = "") -> Account:
        """Inside a transaction. Raises AccountsError and Problem."""
        if not invitations.use(accounts.db, token, accounts.now()):
            raise Problem(404, "invitation-ended", "this invitation was used, withdrawn, or is too old")
        return people.add(accounts.db, name, found.role, found.household, language, accounts.now(), account)

    @routes.get("/invitation/{token}", response_class=HTMLResponse)
    def invitation_page(request: Request, visitor: Annotated[Visitor, Depends(starting)], token: Token) -> Response:
        """An invitation's form; the link that a demo prints signs its visitor in."""
        found = invited(token)
        if found.account is None:
            return welcome(request, visitor, token, found)
        account = accounts.account(found.account)
        if account is None:
            raise Problem(404, "invitation-ended", "whom this link let in is gone")
        return enter(request, account, None, "link")

    @routes.post("/invitation/{token}", response_class=RedirectResponse, status_code=303)
    def take_up(
        request: Request,
        visitor: Annotated[Visitor, Depends(starting)],
        token: Token,
        name: Name,
        password: Password,
        again: Password,
    ) -> Response:
        """Begin an account with a password."""
        found = takes_up(invited(token))
        try:
            name = people.check_name(name)
            passwords.check(password, name, site.record.community().name)
            if password != again:
                raise AccountsError("password-differs")
            hashed = passwords.hashed(password)
            with accounts.db.transaction():
                account = begin_account(token, found, name, visitor.language)
                people.set_password(accounts.db, account.account, hashed)
        except AccountsError as error:
            return welcome(request, visitor, token, found, str(error), name)
        return enter(request, account, None, "invitation")

    @routes.post("/invitation/{token}/passkey/options")
    def invitation_options(
        request: Request, visitor: Annotated[Visitor, Depends(starting)], token: Token, begin: Begin
    ) -> Options:
        """Begin an account with a passkey."""
        check_passkeys(request, site)
        takes_up(invited(token))
        check_tries(limits, {"address": access.address_of(request)})
        try:
            name = people.check_name(begin.name)
            if people.by_name(accounts.db, name) is not None:
                raise people.NameTakenError("name-taken")
        except AccountsError as error:
            raise Problem(422, str(error), "this name cannot be taken") from None
        account = people.new_id()
        number, challenge = challenges.begin(f"invitation {token}", account)
        community = site.record.community().name
        options = passkeys.creation_options(site.settings.name, community, account, name, challenge, accounts.db)
        return Options(number=number, options=options)

    @routes.post("/invitation/{token}/passkey")
    def take_up_with_passkey(
        request: Request,
        response: Response,
        visitor: Annotated[Visitor, Depends(starting)],
        token: Token,
        answer: Answer,
    ) -> Entered:
        """Begin an account with the passkey that was just made."""
        check_passkeys(request, site)
        found = takes_up(invited(token))
        try:
            challenge = challenges.take(answer.number, f"invitation {token}")
            with accounts.db.transaction():
                account = begin_account(token, found, answer.name, visitor.language, challenge.account)
                passkeys.keep(
                    accounts.db, account.account, "", answer.credential, challenge.challenge, site.settings.name,
                    origin(request), accounts.now(),
                )  # fmt: skip
        except AccountsError as error:
            raise Problem(422, str(error), "the account was not made") from None
        opened(request, response, account, "invitation")
        return Entered(next=access.home_of(account))

    # -- what these have in common -----------------------------------------------------------

    def opened(request: Request, response: Response, account: Account, how: str) -> None:
        access.open_session(request, response, account)
        accounts.log(account, "sign-in", how)

    def enter(request: Request, account: Account, place: str | None, how: str = "password") -> Response:
        answer = RedirectResponse(place or access.home_of(account), 303)
        opened(request, answer, account, how)
        return answer

    return routes


def takes_up(found: Invitation) -> Invitation:
    """Raises Problem for a link that makes no account."""
    if found.account is not None:
        raise Problem(409, "invitation-ended", "this link makes no account")
    return found


def check_tries(limits: Limits, keys: dict[str, str]) -> None:
    wait_s = limits.wait_s(keys)
    if wait_s:
        raise Problem(429, "too-often", f"too many tries; wait {wait_s} s", {"Retry-After": str(wait_s)})


def passkey_trouble(request: Request, site: Site) -> str | None:
    return passkeys.where(request.url.scheme, request.url.hostname, site.settings.name)


def check_passkeys(request: Request, site: Site) -> None:
    if passkey_trouble(request, site) is not None:
        raise Problem(409, "passkeys-not-here", f"passkeys need https://{site.settings.name} or http://localhost")


def origin(request: Request) -> str:
    """As browsers write it: without the scheme's own port, which they leave out of Host too."""
    return f"{request.url.scheme}://{request.url.netloc}"
