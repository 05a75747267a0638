"""The meter's own access point with a page that puts it into the household's Wi-Fi and the community.

Open for ten minutes after a start without a usable `config.json`, or after the button is pressed. Loaded only then.
"""

import asyncio
import binascii
import json
import os
import sys
import time

import captive
import enrol
import portal_page
import staged
import web
from clock import log
from wifi import AccessPoint, Wifi, WifiError

OPEN_S = 600
# the phone fetches the last page in this time
LINGER_S = 8
HTTP_PORT = 80

# no letters that look like others
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_PASSWORD_LETTERS = 10


def run(feed, window=None) -> None:
    """Returns when an enrolment is staged: the meter is to start again. `feed()` keeps a watchdog quiet.

    The first window opens at once, further ones after the button.
    """
    asyncio.run(_run(feed, window or Window(Wifi(None, None))))


async def _run(feed, window) -> None:
    import button

    feeding = asyncio.create_task(_feed(feed))
    try:
        while not await window.open():
            log("portal: closed; press the button to open it again")
            await button.pressed()
    finally:
        feeding.cancel()


async def _feed(feed) -> None:
    while True:
        feed()
        await asyncio.sleep(1)


class Window:
    """The access point and its page, for `open_s` seconds at a time."""

    def __init__(self, radio, http_port: int = HTTP_PORT, dns_port: int = captive.PORT, open_s: int = OPEN_S) -> None:
        self._radio = radio
        self._http_port = http_port
        self._dns_port = dns_port
        self._open_s = open_s
        self._began_ms = 0
        self._work = None
        self._step = "wifi"
        self._before = enrol.read_json(enrol.CONFIGURATION)
        self._label = _label(self._before)
        self._host = ""
        self._community = None  # type: str | None
        self.nonce = ""
        self.networks = []
        self.ssid = None  # type: str | None
        self.code = ""
        self.problem = None  # type: tuple[str, str] | None
        self.done = False

    @property
    def enrolled(self) -> bool:
        return self._before is not None

    def minutes_left(self) -> int:
        passed_s = time.ticks_diff(time.ticks_ms(), self._began_ms) // 1000
        return max(1, (self._open_s - passed_s + 59) // 60)

    async def open(self) -> bool:
        """True when a new configuration is staged. The access point is closed when this returns."""
        point = AccessPoint()
        name = "pumasi-" + (self._meter() or _chip())
        self.nonce = binascii.hexlify(os.urandom(8)).decode()
        self._began_ms = time.ticks_ms()
        server = web.Server(self._handle)
        naming = None
        try:
            self.networks = await self._radio.networks()
            address = point.open(name[:32], self._label["password"])
            self._host = address if self._http_port == 80 else "%s:%d" % (address, self._http_port)
            naming = asyncio.create_task(captive.answer_all(address, self._dns_port))
            await server.open(address, self._http_port)
            log("portal: open as %s at http://%s/" % (name, self._host))
            await self._wait()
        finally:
            if naming is not None:
                naming.cancel()
            await server.close()
            point.close()
        return self.done

    async def _wait(self) -> None:
        while not self.done:
            # what has begun is waited for
            over = time.ticks_diff(time.ticks_ms(), self._began_ms) > self._open_s * 1000
            if over and (self._work is None or self._work.done()):
                return
            await asyncio.sleep_ms(200)
        await asyncio.sleep(LINGER_S)

    async def _handle(self, request):
        if request.method != "POST" and (request.host != self._host or request.path not in ("/", "/scan")):
            # a phone that looks whether there is an internet: this is how it learns of the page
            return 302, "http://%s/" % self._host, ()
        if request.method == "POST":
            return self._post(request)
        texts = portal_page.choose_language(request.query, request.language)
        if request.path == "/scan":
            if not self._working():
                self.networks = await self._radio.networks()
            return 303, "/?lang=" + texts.LANGUAGE, ()
        if self.done:
            return 200, web.HTML, portal_page.done(texts, self._community, self.ssid or "")
        if self._working():
            return 200, web.HTML, portal_page.busy(texts, self._step)
        return 200, web.HTML, portal_page.form(texts, self._meter(), self)

    def _post(self, request):
        if request.host != self._host or (request.origin or "null") not in ("null", "http://" + self._host):
            return 403, "text/plain", ("not from this page",)
        form = request.form
        back = "/?lang=ko" if form.get("lang") == "ko" else "/?lang=en"
        if self._working() or self.done:
            return 303, back, ()
        self.ssid = form.get("other", "").strip() or form.get("ssid") or None
        self.code = form.get("code", "").strip()
        password = form.get("password", "")
        self.problem = self._fault(form.get("nonce"), password)
        if self.problem is None:
            self._step = "wifi"
            self._work = asyncio.create_task(self._provision(password or None))
        return 303, back, ()

    def _fault(self, nonce: "str | None", password: str) -> "tuple[str, str] | None":
        if nonce != self.nonce:
            return "form-stale", ""
        if self.ssid is None or len(self.ssid.encode()) > 32:
            return "form-name", ""
        if password and not 8 <= len(password.encode()) <= 63:
            return "form-password", ""
        if self.code:
            try:
                enrol.ticket(self.code)
            except enrol.EnrolmentError as error:
                return error.code, error.detail
        elif not self.enrolled:
            return "form-code", ""
        return None

    def _working(self) -> bool:
        return self._work is not None and not self._work.done()

    def _say(self, step: str) -> None:
        self._step = step

    async def _provision(self, password: "str | None") -> None:
        try:
            wifi = {"ssid": self.ssid, "password": password}
            await self._radio.attempt(self.ssid, password, lambda: self._fetch_and_stage(wifi))
            self.done = True
        except enrol.EnrolmentError as error:
            self.problem = (error.code, error.detail)
        except WifiError as error:
            self.problem = (error.code, "")
        except Exception as error:
            # told on the page; the window must stay
            sys.print_exception(error)  # type: ignore
            self.problem = ("unexpected", repr(error))
        if self.problem is not None:
            log("portal: %s %s" % self.problem)

    async def _fetch_and_stage(self, wifi: dict) -> None:
        if self.code:
            fields, files = await enrol.fetch(enrol.ticket(self.code), self._say)
            self._community = str(fields.get("community"))
        else:
            fields, files = dict(self._before or {}), {}
        self._say("flash")
        files[enrol.CONFIGURATION], other = enrol.complete(fields, wifi, self._before, self._own_facts())
        try:
            staged.stage(files, other)
        except OSError as error:
            raise enrol.EnrolmentError("flash", str(error))

    def _own_facts(self) -> dict:
        facts = dict(self._label)
        facts["label_password"] = self._label["password"]
        return facts

    def _meter(self) -> str:
        return str((self._before or {}).get("meter") or "")


def _label(before: "dict | None") -> dict:
    """What the label says. A meter without one draws a password, keeps it, and tells it on the console."""
    label = enrol.read_json(enrol.LABEL) or {}
    if not isinstance(label.get("password"), str) or not 8 <= len(label["password"]) <= 63:
        known = (before or {}).get("label_password")
        if isinstance(known, str) and 8 <= len(known) <= 63:
            label["password"] = known
        else:
            label["password"] = "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(_PASSWORD_LETTERS))
            with open(enrol.LABEL, "w") as file:
                json.dump(label, file)
            log("portal: this meter had no label; its access point's password is " + label["password"])
    return label


def _chip() -> str:
    try:
        from machine import unique_id
    except ImportError:
        return "meter"
    return binascii.hexlify(unique_id()[-3:]).decode()
