"""Whose key is good: the present generation of each meter's key, and the one before while a rotation goes on.

A meter's ``kid`` in the members is the newest generation. When it has a nonce it was rotated to: the one before is good
as well until a reading under the new one is stored. Without a nonce the meter was provisioned anew, and only that one
is good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from broker.contract import Reading
from broker.keys import meter_key
from market.record import Record


@dataclass(frozen=True)
class Known:
    """The newest generation of a meter's key, and the nonces that generations were rotated with."""

    kid: int
    nonces: Mapping[int, str]


class Keys:
    """The keys of all meters that are or were members, by the newest members that name them."""

    def __init__(self, record: Record, master: bytes) -> None:
        self._record, self._master = record, master
        rules = record.rules(record.input_versions(2**62))
        self._community, self._length_s = rules.community, rules.interval_s
        self._meters: dict[str, Known] = {}
        self._present: dict[str, int] = {}
        self._derived: dict[tuple[str, int], bytes] = {}
        self._learned = 0
        self.learn()

    def learn(self) -> None:
        """Take in members that were stored since."""
        stored = self._record.members_history(self._learned)
        for members in stored:
            self._meters |= {meter["meter"]: _known(meter) for member in members for meter in member["meters"]}
        self._learned += len(stored)
        # A later version may say of the same generation that it was drawn otherwise.
        self._derived.clear()
        self._present = {name: kid for name, kid in self._present.items() if kid == self._meters[name].kid}

    def meters(self) -> list[str]:
        """Every meter that is or was a member's."""
        return sorted(self._meters)

    def good(self, meter: str) -> tuple[int, ...]:
        """The generations that are good now; empty for a meter that never was a member."""
        known = self._meters.get(meter)
        if known is None:
            return ()
        present = self.present(meter)
        return (known.kid,) if present == known.kid else (known.kid, present)

    def present(self, meter: str) -> int:
        """The generation that the meter has used last, as far as the record knows. KeyError for an unknown meter."""
        known = self._meters[meter]
        if known.kid not in known.nonces:
            return known.kid
        if meter not in self._present:
            self._present[meter] = known.kid if self._stored_kid(meter) >= known.kid else known.kid - 1
        return self._present[meter]

    def seen(self, meter: str, kid: int) -> bool:
        """A reading under this generation is stored; True when it is the first under a new one."""
        if self.present(meter) >= kid:
            return False
        self._present[meter] = kid
        return True

    def nonce(self, meter: str) -> str | None:
        """What the meter needs to go on to its next key; None when it has gone on."""
        known = self._meters[meter]
        return None if self.present(meter) == known.kid else known.nonces[known.kid]

    def known(self, meter: str) -> Known | None:
        """The newest members' word on the meter's key; None for a meter that never was a member."""
        return self._meters.get(meter)

    def key(self, meter: str, kid: int) -> bytes:
        """The key [32 bytes] of a generation. KeyError for an unknown meter."""
        if (meter, kid) not in self._derived:
            nonces = self._meters[meter].nonces
            self._derived[meter, kid] = meter_key(self._master, self._community, meter, kid, nonces)
        return self._derived[meter, kid]

    def _stored_kid(self, meter: str) -> int:
        """The generation that sealed the meter's newest stored reading; 0 without one."""
        newest, _ = self._record.neighbours(meter, 2**62, 0)
        payload = None if newest is None else self._record.reading_at(meter, newest[0], self._length_s)
        return 0 if payload is None else msgspec.json.decode(payload, type=Reading).kid


def _known(meter: Mapping[str, Any]) -> Known:
    return Known(int(meter["kid"]), {int(kid): nonce for kid, nonce in meter.get("nonces", {}).items()})
