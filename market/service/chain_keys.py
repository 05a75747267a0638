"""The secret behind every salt, and the key that signs the heads: two files that only their owner may read."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from broker.keys import KeyFileError
from broker.private_files import write_private

SECRET_FILE, KEY_FILE, PUBLIC_KEY_FILE = "proof.secret", "chain.key", "chain.pub"


@dataclass(frozen=True)
class ChainKeys:
    """``secret`` makes the salts, ``seed`` the signing key [32 bytes each]; ``public_key`` is in hexadecimal digits."""

    secret: bytes
    seed: bytes
    public_key: str

    def sign(self, text: bytes) -> str:
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(text).hex()


def chain_keys(directory: Path) -> ChainKeys:
    """The keys of the store, drawn at first use. Raises KeyFileError when a file cannot be used."""
    secret, seed = (_drawn(directory / name) for name in (SECRET_FILE, KEY_FILE))
    public_key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()
    beside = directory / PUBLIC_KEY_FILE
    if not beside.exists() or beside.read_text().strip() != public_key:
        beside.write_text(f"{public_key}\n")
    return ChainKeys(secret, seed, public_key)


def stored_secret(directory: Path) -> bytes | None:
    """The secret of the store; None when it is not there, or not there any more."""
    path = directory / SECRET_FILE
    return _read(path) if path.exists() else None


def stored_public_key(directory: Path) -> str | None:
    """The key that heads are checked by, as the store knows it."""
    path = directory / PUBLIC_KEY_FILE
    return path.read_text().strip() if path.exists() else None


def secret_name(secret: bytes) -> str:
    """By which closures say what secret their salts came from; it tells nothing of it."""
    return hashlib.sha256(b"pumasi/1 secret\n" + secret).hexdigest()[:16]


def signed_by(public_key: str, text: bytes, signature: str) -> bool:
    if not (re.fullmatch(r"[0-9a-f]{64}", public_key) and re.fullmatch(r"[0-9a-f]{128}", signature)):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), text)
    except (ValueError, InvalidSignature):
        return False
    return True


def _drawn(path: Path) -> bytes:
    if not path.exists():
        write_private(path, f"{secrets.token_hex(32)}\n")
    return _read(path)


def _read(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise KeyFileError(f"{path}: others can read it; set its mode to 0600")
    try:
        found = bytes.fromhex(path.read_text().strip())
    except ValueError:
        found = b""
    if len(found) != 32:
        raise KeyFileError(f"{path}: it does not hold 64 hexadecimal digits")
    return found
