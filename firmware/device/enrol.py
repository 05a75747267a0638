"""Enrolment: with the one-time token of a QR code the meter fetches its identity from the community's hub.

The QR code holds where the hub is, a token, and the hash of the authority's certificate; never keys. The certificate is
fetched from whoever answers and compared with the hash; everything after that is verified against it.
"""

import binascii
import gc
import hashlib
import json
import time
from collections import namedtuple

import certificate
import clock
import https
import ntp
import trust
from configuration import Configuration, ConfigurationError

CONFIGURATION = "config.json"
LABEL = "label.json"
# what a label.json or the last configuration says of the meter itself, where the hub is silent
OWN_FACTS = ("board", "sensors", "display", "page", "label_password")

_CERTIFICATE_MOST = 2048
_ANSWER_MOST = 8192
_TOKEN_MOST = 64
_QR_MOST = 512
_NTP_TIMEOUT_MS = 3000
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_PROBLEMS = ("token-used", "token-expired", "token-unknown", "too-many")

Ticket = namedtuple("Ticket", ("host", "port", "token", "authority_sha256"))


class EnrolmentError(Exception):
    """`code` names what went wrong, for a sentence in somebody's language; `detail` is technical."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code + (": " + detail if detail else ""))
        self.code = code
        self.detail = detail


def ticket(text: str) -> Ticket:
    """What the QR code says: `PUMASI:1:<host>:<port>:<token>:<SHA-256 of the authority's certificate>`.

    Spaces and line ends, which copying adds, do not count. Raises EnrolmentError `code`.
    """
    if len(text) > _QR_MOST:
        raise EnrolmentError("code", "too long")
    parts = "".join(text.split()).split(":")
    if len(parts) != 6 or parts[0].upper() != "PUMASI":
        raise EnrolmentError("code", "not PUMASI:1:…")
    if parts[1] != "1":
        raise EnrolmentError("code-version", parts[1][:8])
    host, port, token, digest = parts[2].lower(), parts[3], parts[4], parts[5].lower()
    if not host or any(letter not in "abcdefghijklmnopqrstuvwxyz0123456789-." for letter in host):
        raise EnrolmentError("code", "host")
    if not port.isdigit() or len(port) > 5 or not 0 < int(port) < 65536:
        raise EnrolmentError("code", "port")
    if not 0 < len(token) <= _TOKEN_MOST or not all(letter.isalpha() or letter.isdigit() for letter in token):
        raise EnrolmentError("code", "token")
    if len(digest) != 64 or any(letter not in "0123456789abcdef" for letter in digest):
        raise EnrolmentError("code", "hash")
    return Ticket(host, int(port), token.upper(), digest)


async def fetch(ticket: Ticket, say, time_servers=("pool.ntp.org",)) -> "tuple[dict, dict[str, bytes]]":
    """(the hub's configuration, the files beside it). Raises EnrolmentError; a token given out here is used up.

    `say(step)` is called with `hub`, `time`, `identity` as it goes on.
    """
    say("hub")
    authority, date = await _authority(ticket)
    say("time")
    await _set_time(list(time_servers) + [ticket.host], date)
    say("identity")
    answer = await _ask(ticket, authority)
    try:
        files = {
            trust.AUTHORITY: binascii.a2b_base64(answer["ca"]),
            trust.CERTIFICATE: binascii.a2b_base64(answer["client"]),
            trust.KEY: binascii.a2b_base64(answer["client_key"]),
        }
        fields = answer["config"]
    except (KeyError, TypeError, ValueError):
        raise EnrolmentError("answer", "a member is missing")
    if not isinstance(fields, dict):
        raise EnrolmentError("answer", "config")
    if _sha256(files[trust.AUTHORITY]) != ticket.authority_sha256:
        raise EnrolmentError("answer", "another authority")
    return fields, files


def complete(fields: dict, wifi: dict, before: "dict | None", label: "dict | None") -> "tuple[bytes, bool]":
    """(config.json as it is to be, True when it is another meter than before).

    Raises EnrolmentError `config` when this firmware cannot work with it.
    """
    whole = dict(fields)
    whole["wifi"] = wifi
    for name in OWN_FACTS:
        for known in (before, label):
            if whole.get(name) is None and known is not None and known.get(name) is not None:
                whole[name] = known[name]
    try:
        Configuration(whole)
    except ConfigurationError as error:
        raise EnrolmentError("config", str(error))
    other = before is not None and [before.get(name) for name in ("community", "meter")] != [
        whole["community"],
        whole["meter"],
    ]
    return json.dumps(whole).encode(), other


def read_json(path: str) -> "dict | None":
    """A file's object; None when there is none that can be read."""
    try:
        with open(path) as file:
            fields = json.load(file)
    except (OSError, ValueError):
        return None
    return fields if isinstance(fields, dict) else None


async def _authority(ticket: Ticket) -> "tuple[bytes, str | None]":
    """(the certificate, the date the hub tells). Nobody is trusted for either: the hash decides."""
    try:
        status, found, fields = await https.request(
            ticket.host, ticket.port, trust.blind_context(), "GET", "/ca.der", None, _CERTIFICATE_MOST
        )
    except OSError as error:
        raise EnrolmentError("hub", str(error))
    if status != 200:
        raise EnrolmentError("not-a-hub", "HTTP %d" % status)
    if _sha256(found) != ticket.authority_sha256:
        raise EnrolmentError("authority")
    return found, fields.get("date")


async def _ask(ticket: Ticket, authority: bytes) -> dict:
    gc.collect()
    body = json.dumps({"token": ticket.token}).encode()
    try:
        context = trust.context(authority=authority)
        status, content, _ = await https.request(
            ticket.host, ticket.port, context, "POST", "/enrol", body, _ANSWER_MOST
        )
    except (OSError, ValueError) as error:
        raise EnrolmentError("identity", str(error))
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise EnrolmentError("answer", "HTTP %d" % status)
    if status == 200:
        return answer
    problem = answer.get("problem")
    if problem in _PROBLEMS:
        raise EnrolmentError(problem)
    raise EnrolmentError("answer", "HTTP %d" % status)


async def _set_time(servers: "list[str]", date: "str | None") -> None:
    """Certificates have dates. NTP first; where it is blocked, the hub's own word, which is as little protected."""
    if _now_s() >= ntp.LEAST_S:
        return
    for server in servers:
        try:
            answer = await ntp.ask(server, timeout_ms=_NTP_TIMEOUT_MS)
        except (OSError, ntp.NtpError):
            continue
        passed_ms = time.ticks_diff(time.ticks_ms(), answer.ticks_ms)
        clock.set_rtc((answer.epoch_ms + passed_ms) // 1000)
        return
    told_s = None if date is None else epoch_s(date)
    if told_s is None or not ntp.LEAST_S <= told_s < ntp.MOST_S:
        raise EnrolmentError("time")
    clock.set_rtc(told_s)


def _now_s() -> int:
    return int(time.time()) + clock.EPOCH_SHIFT_S


def epoch_s(date: str) -> "int | None":
    """Of an HTTP date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7); None for anything else."""
    words = date.replace(":", " ").split()
    if len(words) != 8 or words[2] not in _MONTHS.split() or words[7] != "GMT":
        return None
    month = _MONTHS.split().index(words[2]) + 1
    try:
        day, year, hour, minute, second = [int(words[index]) for index in (1, 3, 4, 5, 6)]
    except ValueError:
        return None
    return certificate.epoch_s(year, month, day, hour, minute, second)


def _sha256(content: bytes) -> str:
    return binascii.hexlify(hashlib.sha256(content).digest()).decode()
