"""Keys of the meters and the seal on every message.

A meter's key is derived from the community's master key, so that the market needs no table of
secrets: HKDF-SHA256 (RFC 5869). A message is sealed by HMAC-SHA256 (RFC 2104) over its topic, a
zero byte and its JSON text up to the member ``mac``, which is always the last.
``broker/vectors.json`` holds test vectors; the meter's own code is tied to this one by them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path

KEY_BYTES = 32
_SALT = b"pumasi/1"
_MARK = b',"mac":"'
_END = b'"}'
_MAC_HEX = 64


class KeyFileError(ValueError):
    """The master key's file cannot be used; the message says why."""


def derive_key(master: bytes, community: str, meter: str, kid: int) -> bytes:
    """The meter's key [32 bytes] of generation ``kid`` (a rotation counts it up)."""
    pseudorandom = hmac.digest(_SALT, master, hashlib.sha256)
    info = f"{community}/{meter}/{kid}".encode()
    return hmac.digest(pseudorandom, info + b"\x01", hashlib.sha256)


def rotate(key: bytes, community: str, meter: str, kid: int, nonce: str) -> bytes:
    """The key [32 bytes] of generation ``kid``, from that of ``kid - 1`` and a nonce [32 hexadecimal digits].

    Both sides compute it, and the key itself is never sent. Whoever knows the old key and hears the nonce knows the
    new one: a compromised key is not rotated but provisioned anew, by ``derive_key``.
    """
    pseudorandom = hmac.digest(_SALT, key, hashlib.sha256)
    info = f"{community}/{meter}/{kid}/{nonce}".encode()
    return hmac.digest(pseudorandom, info + b"\x01", hashlib.sha256)


def meter_key(master: bytes, community: str, meter: str, kid: int, nonces: Mapping[int, str]) -> bytes:
    """The key [32 bytes] of generation ``kid``: rotated from the one before where it has a nonce, derived otherwise."""
    first = kid
    while first > 1 and first in nonces:
        first -= 1
    key = derive_key(master, community, meter, first)
    for generation in range(first + 1, kid + 1):
        key = rotate(key, community, meter, generation, nonces[generation])
    return key


def sign(key: bytes, topic: str, body: bytes) -> bytes:
    """The JSON object ``body`` with its seal added as the last member."""
    unsealed = body[:-1]
    mac = hmac.digest(key, topic.encode() + b"\0" + unsealed, hashlib.sha256).hex().encode()
    return unsealed + _MARK + mac + _END


def verify(key: bytes, topic: str, payload: bytes) -> bool:
    """True when ``payload``, exactly as received on ``topic``, carries a good seal."""
    length = len(_MARK) + _MAC_HEX + len(_END)
    unsealed, seal = payload[:-length], payload[-length:]
    if not (seal.startswith(_MARK) and seal.endswith(_END)):
        return False
    expected = hmac.digest(key, topic.encode() + b"\0" + unsealed, hashlib.sha256).hex().encode()
    return hmac.compare_digest(expected, seal[len(_MARK) : -len(_END)])


def master_key(path: Path) -> bytes:
    """The community's master key, read from ``path``; drawn and stored there (mode 0600) at first use.

    Raises KeyFileError when the file is not 64 hexadecimal digits or others may read it.
    """
    if not path.exists():
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_bytes(KEY_BYTES).hex() + "\n")
    if path.stat().st_mode & 0o077:
        raise KeyFileError(f"{path}: others can read the master key; set its mode to 0600")
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"{path}: not a master key (64 hexadecimal digits)")
    return key
