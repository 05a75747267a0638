"""The ESP32's radio: the household's network, and the meter's own. There is no `network` on the unix port."""

import asyncio
import time

import network

JOIN_TIMEOUT_MS = 20_000
OWN_ADDRESS = "192.168.4.1"
STATIONS_MOST = 4
NETWORKS_MOST = 20
HOSTNAME_MOST = 32

_STEP_MS = 200
_RESTART_MS = 500
# what `status()` says of an attempt that failed, by name of the port's constant
_REASONS = (
    ("STAT_WRONG_PASSWORD", "password"),
    ("STAT_HANDSHAKE_TIMEOUT", "password"),
    ("STAT_NO_AP_FOUND", "not-found"),
    ("STAT_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD", "security"),
    ("STAT_NO_AP_FOUND_W_COMPATIBLE_SECURITY", "security"),
)


_TEXTS = {
    "password": "the Wi-Fi does not accept the password",
    "not-found": "the Wi-Fi is not found",
    "security": "the Wi-Fi's kind of security is not known here",
    "no-answer": "the Wi-Fi does not let the meter in",
}


class WifiError(OSError):
    """Not joined; `code` is `password`, `not-found`, `security` or `no-answer`."""

    def __init__(self, code: str) -> None:
        super().__init__(_TEXTS[code])
        self.code = code


class Wifi:
    """The household's network, and how well it is heard."""

    def __init__(self, ssid: "str | None", password: "str | None", hostname: str = "pumasi") -> None:
        self._ssid = ssid
        self._password = password
        # more is a ValueError
        self._hostname = hostname[:HOSTNAME_MOST]
        self._station = None
        # one who joins at a time: the link, or somebody who tries another network
        self._lock = asyncio.Lock()

    async def ensure(self, fresh: bool = False) -> None:
        """Returns when joined; `fresh` starts the radio anew before. Raises WifiError after 20 s without success."""
        async with self._lock:
            station = await self._awake(fresh)
            if station.isconnected():
                return
            if self._ssid is None:
                raise WifiError("not-found")
            await _join(station, self._ssid, self._password)

    async def attempt(self, ssid: str, password: "str | None", work):
        """Joins another network and awaits `work()` there. Raises WifiError.

        Only when all of it goes well this is the network from now on; else the next `ensure` goes back.
        """
        async with self._lock:
            station = await self._awake(False)
            try:
                await _join(station, ssid, password)
                found = await work()
            except BaseException:
                station.disconnect()
                raise
            self._ssid = ssid
            self._password = password
            return found

    def rssi_dbm(self) -> "int | None":
        return self._station.status("rssi") if self._station is not None and self._station.isconnected() else None

    def address(self) -> "tuple[str, str] | None":
        """(address, network mask) while joined."""
        if self._station is None or not self._station.isconnected():
            return None
        return self._station.ifconfig()[:2]

    @property
    def ssid(self) -> "str | None":
        return self._ssid

    async def networks(self) -> "list[tuple[str, int]]":
        """(name, rssi [dBm]) of what is on the air, the best first. The scan blocks for two or three seconds."""
        async with self._lock:
            station = await self._awake(False)
            try:
                found = station.scan()
            except OSError:
                # busy with joining
                return []
        best = {}
        for entry in found:
            try:
                name = str(entry[0], "utf-8")
            except UnicodeError:
                continue
            if name and name.strip("\0") and entry[3] > best.get(name, -1000):
                best[name] = entry[3]
        return sorted(best.items(), key=lambda item: -item[1])[:NETWORKS_MOST]

    async def _awake(self, fresh: bool):
        if self._station is None:
            network.hostname(self._hostname)
            self._station = network.WLAN(network.STA_IF)
            self._station.active(True)
        elif fresh:
            self._station.active(False)
            await asyncio.sleep_ms(_RESTART_MS)
            self._station.active(True)
        return self._station


async def _join(station, ssid: str, password: "str | None") -> None:
    station.disconnect()
    if password is None:
        station.connect(ssid)
    else:
        station.connect(ssid, password)
    reason = "no-answer"
    began_ms = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), began_ms) < JOIN_TIMEOUT_MS:
        await asyncio.sleep_ms(_STEP_MS)
        if station.isconnected():
            return
        # the radio goes on trying, and the last reason it gave is the one that helps
        reason = _reason(station.status()) or reason
    station.disconnect()
    raise WifiError(reason)


def _reason(status: int) -> "str | None":
    for name, reason in _REASONS:
        if getattr(network, name, None) == status:
            return reason
    return None


class AccessPoint:
    """The meter's own network (WPA2), for a phone."""

    def __init__(self) -> None:
        self._interface = network.WLAN(network.AP_IF)

    def open(self, ssid: str, password: str) -> str:
        """The address under which the meter answers."""
        self._interface.active(True)
        self._interface.config(ssid=ssid, security=network.AUTH_WPA2_PSK, key=password, max_clients=STATIONS_MOST)
        # phones ask the gateway for names too, and so find the page
        self._interface.ifconfig((OWN_ADDRESS, "255.255.255.0", OWN_ADDRESS, OWN_ADDRESS))
        return self._interface.ifconfig()[0]

    def close(self) -> None:
        self._interface.active(False)
