"""The whole meter on serial lines: a pseudo-terminal with a P1 port's telegrams, and one with a Modbus meter."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from typing import Any

import pytest


def crc(data: bytes, value: int) -> int:
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


class Device:
    """A thread at the other end of a serial line; `silent` meters say nothing."""

    def __init__(self) -> None:
        self._ours, theirs = os.openpty()
        tty.setraw(theirs)
        self._theirs = theirs
        self.path = os.ttyname(theirs)
        self.silent = False
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ends.set()
        self._thread.join(5)
        os.close(self._ours)
        os.close(self._theirs)

    def _run(self) -> None:
        while not self._ends.wait(0.02):
            self.turn()

    def turn(self) -> None:
        raise NotImplementedError

    def say(self, data: bytes) -> None:
        # what nobody reads must not pile up: it would be read when it is no longer true
        waiting = struct.unpack("i", fcntl.ioctl(self._theirs, termios.FIONREAD, bytes(4)))[0]
        if not self.silent and not waiting:
            os.write(self._ours, data)

    def heard(self) -> bytes:
        return os.read(self._ours, 256) if select.select([self._ours], [], [], 0)[0] else b""


class SmartMeter(Device):
    import_wh = 1_234_567
    export_wh = 89

    def turn(self) -> None:
        lines = [
            "/TST5\\METER",
            "",
            "1-3:0.2.8(50)",
            f"1-0:1.8.1({self.import_wh // 1000:06}.{self.import_wh % 1000:03}*kWh)",
            "1-0:1.8.2(000001.000*kWh)",
            f"1-0:2.8.1({self.export_wh // 1000:06}.{self.export_wh % 1000:03}*kWh)",
            "1-0:1.7.0(00.500*kW)",
            "!",
        ]
        text = "\r\n".join(lines).encode()
        self.say(text + b"%04X\r\n" % crc(text, 0))


class Roof(Device):
    made_kwh = 7.5
    _rest = b""

    def turn(self) -> None:
        self._rest += self.heard()
        if len(self._rest) < 8:
            return
        request, self._rest = self._rest[:8], self._rest[8:]
        _, function, start, count = struct.unpack(">BBHH", request[:6])
        values = {0x48: [self.made_kwh, 0.0], 0: [230.0, 0, 0, 2.0, 0, 0, 460.0]}[start]
        assert count == 2 * len(values)
        reply = bytes((1, function, 4 * len(values))) + struct.pack(f">{len(values)}f", *values)
        self.say(reply + struct.pack("<H", crc(reply, 0xFFFF)))


@pytest.fixture
def devices() -> Iterator[tuple[SmartMeter, Roof]]:
    grid, roof = SmartMeter(), Roof()
    yield grid, roof
    grid.close()
    roof.close()


def test_a_meter_on_two_serial_lines(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None], devices: Any
) -> None:
    grid, roof = devices
    sensors = [
        {"role": "grid", "driver": "p1", "uart": grid.path},
        {"role": "generation", "driver": "sdm", "model": "sdm120", "uart": roof.path},
    ]
    meter = make_meter(broker.port, [(0, 0)], sensors=sensors, status_s=1, seed={"import_wh": 1_000_000})

    def close(interval: int) -> dict[str, Any]:
        meter.tick(interval + 1)
        wait(lambda: interval in market.first_heard, what=f"reading {interval}")
        reading = market.first_heard[interval]
        return {name: reading[name] for name in ("import_wh", "export_wh", "generation_wh", "consumption_wh", "flags")}

    meter.start()
    meter.wait_ready()
    meter.tick(0)
    wait(lambda: market.statuses[-1].get("sensors") == {"grid": "ok", "generation": "ok"}, what="both sensors")
    grid.import_wh += 120
    grid.export_wh += 40
    roof.made_kwh += 0.25
    first = {"import_wh": 1_000_120, "export_wh": 40, "generation_wh": 250, "consumption_wh": 330, "flags": []}
    assert close(0) == first
    # the power goes, and the meters count on
    meter.cut_power()
    grid.import_wh += 500
    meter.start()
    second = {"import_wh": 1_000_620, "export_wh": 40, "generation_wh": 250, "consumption_wh": 830, "flags": []}
    assert close(1) == second
    # a cable comes loose: what is known stands, and the reading says so
    roof.silent = True
    roof.made_kwh += 0.5
    grid.export_wh += 500
    third = {**second, "export_wh": 540, "flags": ["estimated"]}
    assert close(2) == third
    wait(lambda: market.statuses[-1].get("sensors") == {"grid": "ok", "generation": "no answer"}, what="the complaint")
    roof.silent = False
    # the missing energy appears, consumption makes up what it owed, and the interval in which it does says so
    assert close(3) == {**third, "generation_wh": 750, "consumption_wh": 830, "flags": ["estimated"]}
    assert close(4)["flags"] == []
    assert market.different == 0 and market.forged == 0


@pytest.mark.parametrize(
    ("sensors", "complaint"),
    [
        ([{"role": "load", "driver": "simulated", "profile": "profile.txt"}], "sensors[0].role: a simulated sensor"),
        ([{"role": "generation", "driver": "p1", "uart": "/dev/null"}], "sensors: none has the role 'grid'"),
        (
            [{"role": "grid", "driver": "p1", "uart": "/nowhere"}],
            "sensors[0].uart: /nowhere cannot be opened (error 2)",
        ),
        ([{"role": "grid", "driver": "p1", "uart": 1}], "sensors[0].tx: not an integer from 0 to 48"),
        ([{"role": "grid", "driver": "p1", "uart": 1, "tx": 1, "rx": 2}], "sensors[0].uart: this machine has no such"),
        ([{"role": "grid", "driver": "sml"}], "sensors[0].uart: not an integer from 1 to 2"),
        (
            [{"role": "grid", "driver": "pzem004t", "uart": "/dev/null"}],
            "sensors[0].role: a PZEM-004T measures no direction, so it cannot tell import from export",
        ),
        ([{"role": "grid", "driver": "simulated", "profile": "no.txt"}], "sensors[0].profile: no.txt cannot be read"),
        ([{"role": "grid", "driver": "simulated"}], "sensors[0].profile: missing, or not a text"),
        (
            [{"role": "grid", "driver": "s0", "pin": 4, "register": "import"}],
            "sensors[0].pulses_per_kwh: not an integer",
        ),
        (
            [{"role": "grid", "driver": "p1", "uart": "/dev/null"}] * 2,
            "sensors[1]: the same as another",
        ),
        (
            [
                {"role": "grid", "driver": "simulated", "profile": "profile.txt"},
                {"role": "load", "driver": "pzem004t", "uart": "/dev/null"},
            ],
            "sensors: a simulated one cannot be among real ones",
        ),
    ],
)
def test_wrong_sensors_are_one_line_that_names_the_field(
    make_meter: Callable[..., Any], sensors: list[dict[str, Any]], complaint: str
) -> None:
    meter = make_meter(1, [(0, 0)], sensors=sensors)
    meter.start()
    assert meter.end() == 2
    assert meter.diagnostics().startswith("configuration: " + complaint)
    assert meter.diagnostics().count("\n") == 1


def test_a_setting_that_no_driver_knows_is_told(make_meter: Callable[..., Any]) -> None:
    sensors = [{"role": "grid", "driver": "simulated", "profile": "profile.txt", "adress": 3}]
    meter = make_meter(1, [(1, 0)], sensors=sensors)
    meter.start()
    meter.write("stop\n")
    assert meter.end() == 0
    assert "configuration: sensors[0].adress is not known to this driver" in meter.diagnostics()
