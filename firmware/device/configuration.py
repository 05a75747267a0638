"""The meter's configuration, read once at boot from `config.json`."""

import binascii
import json


class ConfigurationError(Exception):
    """One line that names the field and what is wrong with it."""


class Configuration:
    """What `config.json` says, checked. Intervals in seconds, the key as bytes."""

    def __init__(self, fields: dict) -> None:
        self.community = _identifier(fields, "community")
        self.meter = _identifier(fields, "meter")
        self.kid = _integer(fields, "kid", 1, (1 << 31) - 1)
        self.key = _key(fields)
        self.interval_s = _integer(fields, "interval_s", 1, 86400)
        broker = _part(fields, "broker")
        self.host = _text(broker, "host")
        self.port = _integer(broker, "port", 1, 65535)
        self.user = _text_or_none(broker, "user")
        self.password = _text_or_none(broker, "password")
        self.clock = _text(fields, "clock")
        if self.clock not in ("conductor", "ntp"):
            raise ConfigurationError("clock: neither 'conductor' nor 'ntp'")
        self.sensor = _part(fields, "sensor")
        self.wifi = None if fields.get("wifi") is None else _part(fields, "wifi")
        # how often the retained status is refreshed while connected
        self.status_s = 60 if "status_s" not in fields else _integer(fields, "status_s", 1, 86400)

    def topic(self, what: str) -> str:
        return "pumasi/1/%s/%s/%s" % (self.community, self.meter, what)


def load(path: str) -> Configuration:
    """Raises ConfigurationError; a missing file or broken JSON included."""
    try:
        with open(path) as file:
            fields = json.load(file)
    except (OSError, ValueError) as error:
        raise ConfigurationError("%s: cannot be read (%r)" % (path, error))
    if not isinstance(fields, dict):
        raise ConfigurationError(path + ": not a JSON object")
    return Configuration(fields)


def _part(fields: dict, name: str) -> dict:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise ConfigurationError(name + ": missing, or not an object")
    return value


def _text(fields: dict, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(name + ": missing, or not a text")
    return value


def _text_or_none(fields: dict, name: str) -> "str | None":
    return None if fields.get(name) is None else _text(fields, name)


def _integer(fields: dict, name: str, least: int, most: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not least <= value <= most:
        raise ConfigurationError("%s: not an integer from %d to %d" % (name, least, most))
    return value


def _identifier(fields: dict, name: str) -> str:
    value = _text(fields, name)
    if len(value) > 32 or any(letter not in "abcdefghijklmnopqrstuvwxyz0123456789-" for letter in value):
        raise ConfigurationError(name + ": not 1 to 32 of a-z, 0-9 and '-'")
    return value


def _key(fields: dict) -> bytes:
    value = _text(fields, "key")
    try:
        key = binascii.unhexlify(value)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigurationError("key: not 64 hexadecimal digits")
    return key
