"""A firmware bundle: the signed list of files and the files, read as a stream, and laid into a slot.

    8 bytes "PUMASI1\\n" · 4 bytes length of the manifest, big endian · manifest · 384 bytes signature · files in order

The manifest is JSON without spaces: {"version":"0.2.0","files":[{"path":…,"size":…,"sha256":…},…]}. The signature is
RSASSA-PKCS1-v1_5 with SHA-256 and RSA-3072 (RFC 8017) over everything before it. Nothing of a file is looked at before
it was verified.
"""

import binascii
import hashlib
import os

import stage
from slots import exists

MAGIC = b"PUMASI1\n"
HEAD_BYTES = 12
SIGNATURE_BYTES = 384
MANIFEST_MOST_BYTES = 12 * 1024
FILES_MOST = 96
SLOT_MOST_BYTES = 512 * 1024
_CHUNK_BYTES = 512
_EXPONENT = 65537
# RFC 8017, 9.2: the digest's algorithm, in DER
_SHA256 = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-."


class RefusedError(Exception):
    """What the bundle was refused for, by `name`, and one line of reason."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


def verify(digest: bytes, signature: bytes, modulus: bytes) -> bool:
    """True when `signature` is that of the SHA-256 `digest` by the key with this modulus [384 bytes each].

    The whole block is made and compared, so there is no padding to be parsed and fooled by.
    """
    if len(signature) != SIGNATURE_BYTES or len(modulus) != SIGNATURE_BYTES or modulus[0] < 0x80 or not modulus[-1] & 1:
        return False
    n = int.from_bytes(modulus, "big")
    s = int.from_bytes(signature, "big")
    if s >= n:
        return False
    block = b"\x00\x01" + b"\xff" * (SIGNATURE_BYTES - 3 - len(_SHA256) - 32) + b"\x00" + _SHA256 + digest
    return pow(s, _EXPONENT, n) == int.from_bytes(block, "big")


def number(version: str) -> "tuple[int, int, int]":
    """The order of versions. Raises ValueError for what is not three numbers with points."""
    parts = version.split(".")
    if len(parts) != 3 or any(not part.isdigit() or len(part) > 5 for part in parts):
        raise ValueError("not a version: " + version[:20])
    return int(parts[0]), int(parts[1]), int(parts[2])


async def install(read, slot: str, modulus: bytes, running: str, offered: str) -> None:
    """Lays a bundle into `slot`, which must not be the running one, and leaves it whole; nothing is made current.

    `read(n)` is awaited for exactly n bytes, or raises EOFError. Raises RefusedError, OSError or EOFError; the slot
    then has no manifest, and so is none.
    """
    head = await read(HEAD_BYTES)
    length = int.from_bytes(head[8:], "big")
    if head[:8] != MAGIC or not 0 < length <= MANIFEST_MOST_BYTES:
        raise RefusedError("damaged", "not a firmware bundle")
    text = await read(length)
    signed = hashlib.sha256(head)
    signed.update(text)
    if not verify(signed.digest(), await read(SIGNATURE_BYTES), modulus):
        raise RefusedError("signature", "the signature is not good")
    version = _check(text)
    if number(version) <= number(running):
        raise RefusedError("downgrade", "version %s does not follow %s" % (version, running))
    if version != offered:
        raise RefusedError("damaged", "version %s, but %s was offered" % (version, offered))
    clear(slot)
    buffer = bytearray(_CHUNK_BYTES)
    for path, size, digest in stage.files(text):
        await _copy(read, buffer, _place(slot, path), size, digest)
    with open(slot + "/manifest.json", "wb") as file:
        file.write(text)
        file.flush()


def clear(slot: str) -> None:
    """Empties a slot, its manifest first: from then on it is not taken for whole."""
    if not exists(slot):
        os.mkdir(slot)
        return
    if exists(slot + "/manifest.json"):
        os.remove(slot + "/manifest.json")
    _remove_all(slot)


def _remove_all(folder: str) -> None:
    for entry in list(os.ilistdir(folder)):
        path = folder + "/" + entry[0]
        if entry[0] in (".", ".."):
            continue
        if entry[1] & 0x4000:
            _remove_all(path)
            os.rmdir(path)
        else:
            os.remove(path)


def _check(text: bytes) -> str:
    """The manifest's version. What is wrong with it was signed, and is refused all the same."""
    count = total = 0
    try:
        version = stage.version(text)
        number(version)
        for path, size, _ in stage.files(text):
            if not isinstance(path, str) or not _is_safe(path) or type(size) is not int or size < 0:
                raise RefusedError("damaged", "its manifest has a file that cannot be: %r" % (path,))
            count += 1
            total += size
    except (ValueError, AttributeError):
        raise RefusedError("damaged", "its manifest cannot be read")
    if count > FILES_MOST or total > SLOT_MOST_BYTES:
        raise RefusedError("damaged", "%d files of %d bytes are too many" % (count, total))
    return version


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    return len(path) <= 64 and all(
        part and part[0] != "." and all(letter in _LETTERS for letter in part) for part in parts
    )


def _place(slot: str, path: str) -> str:
    """The path in the slot; the folders on the way are made."""
    folder = slot
    for part in path.split("/")[:-1]:
        folder += "/" + part
        if not exists(folder):
            os.mkdir(folder)
    return slot + "/" + path


async def _copy(read, buffer: bytearray, path: str, size: int, expected: str) -> None:
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        while size:
            chunk = await read(min(size, len(buffer)))
            digest.update(chunk)
            file.write(chunk)
            size -= len(chunk)
        file.flush()
    if binascii.hexlify(digest.digest()).decode() != expected:
        raise RefusedError("damaged", path + " is not what was signed")
