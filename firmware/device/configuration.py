"""The meter's configuration, read once at boot from `config.json`."""

import binascii
import json

VERSION = 1
ROLES = ("grid", "generation", "load")
REGISTERS = ("import_wh", "export_wh", "generation_wh", "consumption_wh")

_MEMBERS = (
    "version", "community", "meter", "kid", "key", "interval_s", "broker", "hub", "clock", "ntp", "wifi", "sensors",
    "board", "display", "page", "home_assistant", "label_password", "seed", "limits", "status_s",
)  # fmt: skip
_INTEGER_MOST = (1 << 31) - 1


class ConfigurationError(Exception):
    """One line that names the field and what is wrong with it."""


class Configuration:
    """What `config.json` says, checked. Intervals in seconds, the key as bytes."""

    def __init__(self, fields: dict) -> None:
        if fields.get("version") != VERSION:
            raise ConfigurationError("version: not %d" % VERSION)
        # A name this firmware does not know is no fault: after an update has failed, an older one reads newer files.
        self.unknown = sorted(name for name in fields if name not in _MEMBERS)
        self.community = _identifier(fields, "community")
        self.meter = _identifier(fields, "meter")
        self.kid = _integer(fields, "kid", 1, _INTEGER_MOST)
        self.key = _key(fields)
        self.interval_s = interval_s(fields)
        broker = _part(fields, "broker")
        self.host = _text(broker, "broker.host", 255)
        self.port = _integer(broker, "broker.port", 1, 65535)
        # with TLS, ca.der, client.der and client.key.der lie beside config.json
        self.tls = _boolean(broker, "broker.tls")
        self.user = _text_or_none(broker, "broker.user")
        self.password = _text_or_none(broker, "broker.password")
        # (host, port) of the server for enrolment and firmware bundles, or None
        self.hub = _hub(fields)
        self.clock = _text(fields, "clock")
        if self.clock not in ("conductor", "ntp"):
            raise ConfigurationError("clock: neither 'conductor' nor 'ntp'")
        # "host" or "host:port"; None: nobody said, an empty list: the operating system keeps the clock (unix port only)
        self.ntp = _time_servers(fields)
        self.wifi = _wifi(fields)
        self.sensors = sensors(fields)
        self.board = _text_or_none(fields, "board")
        self.display = None if fields.get("display") is None else _part(fields, "display")
        # TCP port of the household's own page, 0 for none
        self.page = _page(fields, self.wifi)
        self.home_assistant = _boolean(fields, "home_assistant")
        # WPA2 of the meter's own access point
        self.label_password = _text_or_none(fields, "label_password")
        if self.label_password is not None and not 8 <= len(self.label_password) <= 63:
            raise ConfigurationError("label_password: not 8 to 63 characters")
        # [Wh] a replaced meter's last registers
        self.seed = _seed(fields)
        self.limits = limits(fields)
        # how often the retained status is refreshed while connected
        self.status_s = 60 if fields.get("status_s") is None else _integer(fields, "status_s", 1, 86400)

    def topic(self, what: str) -> str:
        return "pumasi/1/%s/%s/%s" % (self.community, self.meter, what)


def load(path: str) -> Configuration:
    """Raises ConfigurationError; a missing file or broken JSON included."""
    try:
        with open(path) as file:
            fields = json.load(file)
    except OSError as error:
        raise ConfigurationError("%s: cannot be read (error %s)" % (path, error.errno))
    except ValueError:
        raise ConfigurationError(path + ": not JSON")
    if not isinstance(fields, dict):
        raise ConfigurationError(path + ": not a JSON object")
    return Configuration(fields)


def interval_s(fields: dict) -> int:
    """Raises ConfigurationError unless whole intervals fill a day, as every interval is aligned to the epoch."""
    length_s = _integer(fields, "interval_s", 1, 86400)
    if 86400 % length_s:
        raise ConfigurationError("interval_s: %d does not divide a day" % length_s)
    return length_s


def sensors(fields: dict) -> "list[dict]":
    """One object per sensor: its role, its driver, and the settings that only the driver knows."""
    found = fields.get("sensors")
    if not isinstance(found, list) or not 1 <= len(found) <= 8:
        raise ConfigurationError("sensors: missing, or not a list of 1 to 8 objects")
    for index, sensor in enumerate(found):
        where = "sensors[%d]" % index
        if not isinstance(sensor, dict):
            raise ConfigurationError(where + ": not an object")
        if sensor.get("role") not in ROLES:
            raise ConfigurationError("%s.role: not one of %s" % (where, ", ".join(ROLES)))
        _text(sensor, where + ".driver")
    return found


def limits(fields: dict) -> "dict[str, int]":
    """What cannot be at this connection, by name [W]; empty when nothing is said."""
    found = fields.get("limits")
    if found is None:
        return {}
    if not isinstance(found, dict) or len(found) > 8:
        raise ConfigurationError("limits: not an object of at most 8 members")
    for name in found:
        _integer(found, "limits." + name, 0, _INTEGER_MOST)
    return found


def _leaf(path: str) -> str:
    return path[path.rfind(".") + 1 :]


def _part(fields: dict, path: str) -> dict:
    value = fields.get(_leaf(path))
    if not isinstance(value, dict):
        raise ConfigurationError(path + ": missing, or not an object")
    return value


def _text(fields: dict, path: str, most: int = 1024) -> str:
    value = fields.get(_leaf(path))
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise ConfigurationError("%s: missing, or not a text of at most %d characters" % (path, most))
    return value


def _text_or_none(fields: dict, path: str) -> "str | None":
    return None if fields.get(_leaf(path)) is None else _text(fields, path)


def _integer(fields: dict, path: str, least: int, most: int) -> int:
    value = fields.get(_leaf(path))
    if type(value) is not int or not least <= value <= most:
        raise ConfigurationError("%s: not an integer from %d to %d" % (path, least, most))
    return value


def _boolean(fields: dict, path: str) -> bool:
    value = fields.get(_leaf(path))
    if value is not None and type(value) is not bool:
        raise ConfigurationError(path + ": neither true nor false")
    return bool(value)


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


def _hub(fields: dict) -> "tuple[str, int] | None":
    url = _text_or_none(fields, "hub")
    if url is None:
        return None
    host, separator, port = url[8:].rstrip("/").partition(":")
    if not separator:
        port = "443"
    if url[:8] != "https://" or not host or "/" in host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigurationError("hub: not https://<host>:<port>")
    return host, int(port)


def _time_servers(fields: dict) -> "list[str] | None":
    found = fields.get("ntp")
    if found is None:
        return None
    if not isinstance(found, list) or len(found) > 8:
        raise ConfigurationError("ntp: not a list of at most 8 hosts")
    for host in found:
        if not isinstance(host, str) or not host or len(host) > 255:
            raise ConfigurationError("ntp: a host that is not a text")
        name, separator, port = host.partition(":")
        if separator and not (name and port.isdigit() and 0 < int(port) < 65536):
            raise ConfigurationError("ntp: '%s' is not <host> or <host>:<port>" % host)
    return found


def _wifi(fields: dict) -> "dict | None":
    if fields.get("wifi") is None:
        return None
    wifi = _part(fields, "wifi")
    _text(wifi, "wifi.ssid", 32)
    # an open network has none
    if wifi.get("password") is not None:
        _text(wifi, "wifi.password", 63)
    return wifi


def _page(fields: dict, wifi: "dict | None") -> int:
    page = fields.get("page")
    if page is None:
        page = wifi is not None
    if type(page) is bool:
        return 80 if page else 0
    return _integer(fields, "page", 1, 65535)


def _seed(fields: dict) -> "dict[str, int] | None":
    if fields.get("seed") is None:
        return None
    seed = _part(fields, "seed")
    for name in seed:
        if name not in REGISTERS:
            raise ConfigurationError("seed.%s: not one of %s" % (name, ", ".join(REGISTERS)))
        _integer(seed, "seed." + name, 0, (1 << 53) - 1)
    return seed
