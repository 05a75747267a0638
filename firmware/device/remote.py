"""The `config` message: what the market may change on a meter, applied only with a good mac and a higher version.

What was accepted last is kept in two copies on flash, key included, before any of it is used; at boot it is laid over
`config.json`. A message says everything: a member that is absent is as `config.json` has it.
"""

import binascii
import hashlib
import json

import configuration
from clock import log
from configuration import Configuration, ConfigurationError
from mac import rotated_key, verify
from slots import Slots

MESSAGE_BYTES = 1024
_SETTINGS = ("interval_s", "limits", "sensors", "home_assistant")
_KID_MOST = (1 << 31) - 1


class Remote:
    """Changes `config.kid` and `config.key` in place at a rotation; other changes wait for `restart`.

    `version` is that of the message last applied (0 before the first), `offer` its firmware member or None, `refused`
    counts by name what was not applied, `on_change()` is called after each message that was.
    """

    def __init__(self, config: Configuration, slots: Slots, on_change=None) -> None:
        self._config = config
        self._slots = slots
        self._base = _fingerprint(config)
        self.on_change = on_change
        self.version = 0
        self.offer = None  # type: dict | None
        self.restart = False
        self.refused = {}  # type: dict[str, int]
        self._provisioned_sensors = config.sensors
        stored = _stored(slots, self._base)
        if stored is not None:
            config.kid = stored["kid"]
            config.key = binascii.unhexlify(stored["key"])
            self.version = stored["version"]
            self.offer = stored["members"].get("firmware")
            self._lay_over(stored["members"])

    def hear(self, topic: str, payload: bytes) -> None:
        """One message of the topic `config`. Never raises for what it says; OSError when the flash is broken."""
        kid, message = _read(payload)
        if message is None:
            self.refuse("config", "not a message of at most %d bytes" % MESSAGE_BYTES)
        elif kid < self._config.kid and message["version"] <= self.version:
            # what led here: retained under the key that it has replaced
            return
        elif kid != self._config.kid or not verify(self._config.key, topic, payload):
            self.refuse("mac", "not authentic")
        elif message["version"] < self.version:
            self.refuse("version", "version %d, after %d" % (message["version"], self.version))
        elif message["version"] > self.version:
            try:
                members = _members(message)
                nonce = _nonce(message)
            except ConfigurationError as error:
                self.refuse("config", str(error))
                return
            self._apply(message["version"], members, nonce)

    def undo_sensors(self) -> bool:
        """Back to the sensors of `config.json`; False when they are in use already."""
        if self._config.sensors is self._provisioned_sensors:
            return False
        self._config.sensors = self._provisioned_sensors
        return True

    def refuse(self, name: str, reason: str) -> None:
        count = self.refused.get(name, 0) + 1
        self.refused[name] = count
        # the first and then ever fewer: a flood of them must not become a flood of lines
        if count & (count - 1) == 0:
            log("config: refused, %s (%s, %d so far)" % (reason, name, count))

    def _apply(self, version: int, members: dict, nonce: "bytes | None") -> None:
        config = self._config
        kid, key = config.kid, config.key
        if nonce is not None:
            kid += 1
            key = rotated_key(key, config.community, config.meter, kid, nonce)
        before = _stored(self._slots, self._base)
        content = {
            "base": self._base,
            "version": version,
            "kid": kid,
            "key": binascii.hexlify(key).decode(),
            "members": members,
        }
        self._slots.save(json.dumps(content).encode())
        # durable: from here on it may be used, and nothing older ever again
        config.kid = kid
        config.key = key
        self.version = version
        self.offer = members.get("firmware")
        known = {} if before is None else before["members"]
        self.restart = self.restart or any(known.get(name) != members.get(name) for name in _SETTINGS)
        log("config: version %d applied" % version)
        if self.on_change is not None:
            self.on_change()

    def _lay_over(self, members: dict) -> None:
        for name in _SETTINGS:
            if members.get(name) is not None:
                setattr(self._config, name, members[name])


def _read(payload: bytes):
    """(kid, message), or (0, None) for what is none."""
    if len(payload) > MESSAGE_BYTES:
        return 0, None
    try:
        message = json.loads(payload)
    except ValueError:
        return 0, None
    if not isinstance(message, dict) or message.get("v") != 1:
        return 0, None
    kid, version = message.get("kid"), message.get("version")
    if type(kid) is not int or type(version) is not int or not 0 < version < 1 << 53:
        return 0, None
    return kid, message


def _members(message: dict) -> dict:
    """What is to be kept of it. Raises ConfigurationError where a value cannot be."""
    if message.get("interval_s") is not None:
        configuration.interval_s(message)
    if message.get("sensors") is not None:
        configuration.sensors(message)
    configuration.limits(message)
    if type(message.get("home_assistant", False)) is not bool:
        raise ConfigurationError("home_assistant: neither true nor false")
    if message.get("firmware") is not None:
        _check_offer(message["firmware"])
    return {name: message[name] for name in _SETTINGS + ("firmware",) if message.get(name) is not None}


def _check_offer(offer) -> None:
    if not isinstance(offer, dict) or type(offer.get("size")) is not int or not 0 < offer["size"] <= 1 << 20:
        raise ConfigurationError("firmware.size: not an integer up to 1048576")
    for name, most in (("version", 16), ("path", 128), ("sha256", 64)):
        if not isinstance(offer.get(name), str) or not 0 < len(offer[name]) <= most:
            raise ConfigurationError("firmware.%s: not a text of at most %d characters" % (name, most))
    if offer["path"][0] != "/" or any(not " " < letter <= "~" for letter in offer["path"]):
        raise ConfigurationError("firmware.path: not a path")


def _nonce(message: dict) -> "bytes | None":
    text = message.get("nonce")
    if text is None:
        return None
    if not isinstance(text, str) or len(text) != 32 or message["kid"] >= _KID_MOST:
        raise ConfigurationError("nonce: not 32 hexadecimal digits")
    if any(letter not in "0123456789abcdef" for letter in text):
        raise ConfigurationError("nonce: not 32 hexadecimal digits")
    return binascii.unhexlify(text)


def _fingerprint(config: Configuration) -> str:
    """Of the identity that was provisioned: a meter that gets a new one forgets what the old one was told."""
    digest = hashlib.sha256("/".join((config.community, config.meter, str(config.kid), "")).encode())
    digest.update(config.key)
    return binascii.hexlify(digest.digest()).decode()


def _stored(slots: Slots, base: str) -> "dict | None":
    if slots.content is None:
        return None
    try:
        stored = json.loads(slots.content)
    except ValueError:
        return None
    return stored if isinstance(stored, dict) and stored.get("base") == base else None
