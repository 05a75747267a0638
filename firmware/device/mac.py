"""Message authentication: HMAC-SHA256 (RFC 2104) over topic, a zero byte and the payload as sent.

And keys that follow from keys: HKDF (RFC 5869). MicroPython's sha256 has neither `hexdigest` nor `copy`, and there is
no `hmac` module on the ESP32.
"""

import binascii
import hashlib

BLOCK_BYTES = 64
# ,"mac":"<64 hex digits>"} closes every signed payload.
_OPEN = b',"mac":"'
_CLOSE = b'"}'
_TAIL_BYTES = len(_OPEN) + 64 + len(_CLOSE)


class Hmac:
    """HMAC-SHA256 that is fed piece by piece, so that no joined copy of the message is made."""

    def __init__(self, key: bytes) -> None:
        if len(key) > BLOCK_BYTES:
            key = hashlib.sha256(key).digest()
        padded = key + bytes(BLOCK_BYTES - len(key))
        self._outer = bytes(byte ^ 0x5C for byte in padded)
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))

    def update(self, data: bytes) -> None:
        self._inner.update(data)

    def digest(self) -> bytes:
        """The 32 bytes; may be taken once, as MicroPython's hash objects are final after it."""
        outer = hashlib.sha256(self._outer)
        outer.update(self._inner.digest())
        return outer.digest()


def mac_hex(key: bytes, topic: str, body: bytes) -> bytes:
    """64 lowercase hex digits over `topic`, a zero byte, and `body` (the payload up to `,"mac"`)."""
    hmac = Hmac(key)
    hmac.update(topic.encode())
    hmac.update(b"\0")
    hmac.update(body)
    return binascii.hexlify(hmac.digest())


def sign(key: bytes, topic: str, body: bytes) -> bytes:
    """The payload to send: `body` is a JSON object without its closing brace."""
    return body + _OPEN + mac_hex(key, topic, body) + _CLOSE


def verify(key: bytes, topic: str, payload: bytes) -> bool:
    """True when `payload` ends in the mac of everything before it."""
    cut = len(payload) - _TAIL_BYTES
    if cut < 0 or payload[cut : cut + len(_OPEN)] != _OPEN or payload[-len(_CLOSE) :] != _CLOSE:
        return False
    return _equal(payload[cut + len(_OPEN) : -len(_CLOSE)], mac_hex(key, topic, payload[:cut]))


def rotated_key(key: bytes, community: str, meter: str, kid: int, nonce: bytes) -> bytes:
    """The key [32 bytes] of generation `kid`, from that of the one before and the nonce that both sides know."""
    info = "%s/%s/%d/%s" % (community, meter, kid, binascii.hexlify(nonce).decode())
    return hkdf(key, b"pumasi/1", info.encode())


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869), one block [32 bytes]."""
    extract = Hmac(salt)
    extract.update(secret)
    expand = Hmac(extract.digest())
    expand.update(info)
    expand.update(b"\x01")
    return expand.digest()


def _equal(left: bytes, right: bytes) -> bool:
    # Every byte is looked at, so the time taken does not tell how much of a guess was right.
    if len(left) != len(right):
        return False
    difference = 0
    for index in range(len(left)):
        difference |= left[index] ^ right[index]
    return difference == 0
