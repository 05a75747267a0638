# A stand-in for the ESP32's `network` module: the air has two networks, and the access point is the loopback.
AIR = {"Home": "correct horse", "Caf\u00e9 <1>": None}
STA_IF, AP_IF = 0, 1
AUTH_WPA2_PSK = 3
STAT_WRONG_PASSWORD, STAT_NO_AP_FOUND, STAT_IDLE = 202, 201, 1000
told = []


def hostname(name):
    if len(name) > 32:
        raise ValueError
    told.append(["hostname", name])


class WLAN:
    def __init__(self, which):
        self._which = which
        self._joined = None
        self._looks = 0
        self._status = STAT_IDLE

    def active(self, on):
        told.append([("station", "point")[self._which], on])

    def config(self, **settings):
        told.append(["config", settings])

    def ifconfig(self, settings=None):
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")

    def scan(self):
        found = [(ssid.encode(), b"", 1, -40 - 10 * place, 3, False) for place, ssid in enumerate(sorted(AIR))]
        return found + [
            (b"Home", b"", 11, -80, 3, False),
            (b"\xff\xfe", b"", 1, -30, 3, False),
            (b"", b"", 1, -20, 3, True),
        ]

    def connect(self, ssid, password=None):
        told.append(["connect", ssid, password])
        self._looks = 0
        if ssid not in AIR:
            self._status = STAT_NO_AP_FOUND
        elif AIR[ssid] != password:
            self._status = STAT_WRONG_PASSWORD
        else:
            self._joined = ssid

    def disconnect(self):
        self._joined = None

    def isconnected(self):
        self._looks += 1
        return self._joined is not None and self._looks > 1

    def status(self, what=None):
        return -55 if what == "rssi" else self._status
