"""What new members may not undo of the members before: keys that were rotated, meters that came and went.

Members are edited as a whole, in a copy of the document that may be older than what is stored. A key's number
that falls, or a nonce that changes, would let in again a key that has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market.record.rows import RecordError

OLDER = "the file is older than what is stored: take pumasi community show again"

Members = Iterable[Mapping[str, Any]]


def check_keys(before: Members, after: Members, history: Callable[[], Iterable[Members]]) -> None:
    """Keys go on from the stored ones: numbers never fall, and how a key that was there was drawn never changes.

    ``history`` gives all members that were stored: a meter that comes back goes on where it was. Raises RecordError.
    """
    stored, wanted = _meters(before), _meters(after)
    if not wanted.keys() <= stored.keys():
        for members in history():
            stored |= _meters(members)
        stored |= _meters(before)
    for name, meter in wanted.items():
        if name in stored:
            _check_key(name, stored[name], meter)


def check_kept(before: Members, after: Members, history: Callable[[], Iterable[Members]]) -> None:
    """The meters are those before, and maybe some that never were. Raises RecordError."""
    stored, wanted = _meters(before), _meters(after)
    for name in stored:
        if name not in wanted:
            raise RecordError(f"meter {name}: is stored and not in the file: {OLDER}; or is it to go: --remove-meters")
    new = wanted.keys() - stored.keys()
    for name in sorted(new & {name for members in history() for name in _meters(members)} if new else ()):
        raise RecordError(
            f"meter {name}: was taken out, the file has it: {OLDER}; or is it to come back: --remove-meters"
        )


def _check_key(name: str, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    kid = int(stored["kid"])
    if wanted["kid"] < kid:
        raise RecordError(
            f"meter {name}: kid {wanted['kid']}, and {kid} is stored: {OLDER} (keys change by pumasi meter rotate only)"
        )
    old, new = _nonces(stored), _nonces(wanted)
    for number in sorted(old.keys() | {number for number in new if number <= kid}):
        if old.get(number) != new.get(number):
            raise RecordError(
                f"meter {name}: the nonce of key {number} is not the stored one: {OLDER}"
                " (keys change by pumasi meter rotate only)"
            )


def _nonces(meter: Mapping[str, Any]) -> dict[int, str]:
    return {int(number): nonce for number, nonce in meter.get("nonces", {}).items()}


def _meters(members: Members) -> dict[str, Mapping[str, Any]]:
    return {meter["meter"]: meter for member in members for meter in member["meters"]}
