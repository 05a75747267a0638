"""The ESP32's radio. Imported only where the configuration has `wifi`; there is no `network` on the unix port."""

import asyncio

import network

_CONNECT_TIMEOUT_MS = 20_000


class Wifi:
    """Joins one access point, and says how well it is heard."""

    def __init__(self, ssid: str, password: str) -> None:
        self._ssid = ssid
        self._password = password
        self._radio = None

    async def ensure(self) -> None:
        """Returns when joined. Raises OSError after 20 s without success."""
        if self._radio is None:
            self._radio = network.WLAN(network.STA_IF)
            self._radio.active(True)
        if self._radio.isconnected():
            return
        self._radio.disconnect()
        self._radio.connect(self._ssid, self._password)
        for _ in range(_CONNECT_TIMEOUT_MS // 200):
            await asyncio.sleep_ms(200)
            if self._radio.isconnected():
                return
        raise OSError("wifi: not joined")

    def rssi_dbm(self) -> "int | None":
        if self._radio is None or not self._radio.isconnected():
            return None
        return self._radio.status("rssi")
