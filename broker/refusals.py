"""Who was refused, by name: counted for ``pumasi broker show``, from Mosquitto's own log and from the hub.

===============  ==============================================================================================
no-certificate   a client on the TLS listener that shows no certificate
bad-certificate  one whose certificate is expired, revoked, not a client's, or another authority's
distrusted       a client that does not believe the broker's certificate
bad-tls          one that speaks no TLS, or a version too old
bad-password     a wrong password, or no account
forbidden        a client thrown off for writing to a topic that is not its own
dropped          the broker's queue for a client is full; meters send again what the market has not acknowledged
token-…          the hub refused to enrol (``broker.enrolment``); too-many, too-long and malformed likewise
===============  ==============================================================================================
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import msgspec

from broker import site
from broker.private_files import write_private

FILE_NAME = "refusals.json"
WRITE_EVERY_S = 1.0
MAX_WHO = 64

_LINES = (
    ("no-certificate", re.compile(r"peer did not return a certificate")),
    ("bad-certificate", re.compile(r"certificate verify failed")),
    ("distrusted", re.compile(r"alert (?:unknown ca|bad certificate|certificate expired|certificate unknown)")),
    ("bad-tls", re.compile(r"SSL routines:+(?:[^:]*:)*(?:http request|wrong version number|unsupported protocol)")),
    ("bad-password", re.compile(r"Client (?P<who>\S+) disconnected, not authori[sz]ed")),
    ("forbidden", re.compile(r"Bad socket read/write on client (?P<who>[^/\s]+/\S+): Unknown error")),
    ("forbidden", re.compile(r"Denied PUBLISH from (?P<who>\S+)")),
    ("dropped", re.compile(r"Outgoing messages are being dropped for client (?P<who>\S+?)\.?$")),
)
_USUAL = re.compile(
    r"New (?:connection|client connected)|Client \S+ (?:disconnected\.|closed its connection|already connected)"
    r"|Client <unknown> disconnected: Protocol error|unexpected eof while reading|has exceeded timeout"
    r"|should not be run as root|recommended to replace"
    r"|mosquitto version|Config loaded|Loading plugin|Opening ipv[46] |[Rr]eloading config"
    r"|(?:Saving|Using) .*database|dynsec:"
)


class Refusal(msgspec.Struct):
    """How often, who was the last one, and when [epoch s]."""

    count: int = 0
    who: str = ""
    at: int = 0


class Refusals:
    """Counts that outlive a restart; kept in STORE/broker/refusals.json, at most `WRITE_EVERY_S` behind."""

    def __init__(self, store: Path) -> None:
        self._path = site.directory(store) / FILE_NAME
        self._counts = read(store)
        self._written_s = 0.0
        self._changed = False

    def add(self, name: str, who: str) -> None:
        refusal = self._counts.setdefault(name, Refusal())
        refusal.count, refusal.who, refusal.at = refusal.count + 1, who[:MAX_WHO], int(time.time())
        self._changed = True

    def read_line(self, line: str) -> str | None:
        """Take in a line of Mosquitto's log; returns it when a person should see it."""
        for name, pattern in _LINES:
            if found := pattern.search(line):
                self.add(name, found.groupdict().get("who", "?"))
                return None
        return None if _USUAL.search(line) else line

    def save(self, *, now: bool = False) -> None:
        """Write what has changed, if it is time."""
        at_s = time.monotonic()
        if self._changed and (now or at_s >= self._written_s + WRITE_EVERY_S):
            self._changed, self._written_s = False, at_s
            write_private(self._path, msgspec.json.encode(self._counts))


def read(store: Path) -> dict[str, Refusal]:
    """The counts by name; empty where none are kept, or where they cannot be read: nothing depends on them."""
    try:
        return msgspec.json.decode((site.directory(store) / FILE_NAME).read_bytes(), type=dict[str, Refusal])
    except (OSError, msgspec.DecodeError):
        return {}
