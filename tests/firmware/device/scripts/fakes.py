# Buses without hardware: devices that speak their protocol, a clock that runs as fast as it is asked, and faults.
import asyncio
import binascii
import struct
import sys

# where milliseconds wrap on the ESP32
PERIOD_MS = 1 << 30


def ticks_diff(later, earlier):
    return (later - earlier + PERIOD_MS // 2) % PERIOD_MS - PERIOD_MS // 2


class Clock:
    """Stands for `time`: every look takes a millisecond, and sleeping takes no longer."""

    def __init__(self):
        # in the middle of everything the milliseconds wrap
        self.now_ms = PERIOD_MS - 5000

    def ticks_ms(self):
        self.now_ms += 1
        return self.now_ms % PERIOD_MS

    def ticks_diff(self, later, earlier):
        return ticks_diff(later, earlier)

    def ticks_add(self, ms, more):
        return (ms + more) % PERIOD_MS


clock = Clock()


class Asyncio:
    """Stands for `asyncio`: a wait moves the clock."""

    Lock = asyncio.Lock
    gather = staticmethod(asyncio.gather)

    async def sleep_ms(self, ms):
        clock.now_ms += ms
        await asyncio.sleep_ms(0)


def hurry():
    """Import this far, then wait for nothing."""
    fast = Asyncio()
    for name, module in sys.modules.items():
        if name.startswith("sensors.") or name == "intervals":
            if hasattr(module, "time"):
                module.time = clock
            if hasattr(module, "asyncio"):
                module.asyncio = fast


class Uart:
    """`device.answer(request)` and `device.unasked()` give bytes."""

    def __init__(self, device):
        self._device = device
        self._waiting = b""

    def any(self):
        if not self._waiting:
            self._waiting = self._device.unasked()
        return len(self._waiting)

    def read(self, most):
        data = self._waiting[:most]
        self._waiting = self._waiting[most:]
        return data

    def write(self, data):
        self._waiting += self._device.answer(bytes(data))


class Stream:
    """A device that only talks, in pieces."""

    def __init__(self, data, piece):
        self._data = data
        self._piece = piece
        self._at = 0
        # a reading first drops what lies there: the stream begins to flow after it
        self._silent = True

    @property
    def more(self):
        return self._at < len(self._data)

    def unasked(self):
        if self._silent:
            self._silent = False
            return b""
        self._at += self._piece
        return self._data[self._at - self._piece : self._at]

    def answer(self, request):
        return b""


def crc_modbus(data):
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


class Slave:
    """A Modbus slave. `blocks`: {(function, start, count): data}. `faults`, one for each request, are used up."""

    def __init__(self, address, blocks):
        self.address = address
        self.blocks = blocks
        self.faults = []
        self.requests = []
        self._late = b""

    def unasked(self):
        return b""

    def answer(self, request):
        assert request[-2:] == crc_modbus(request[:-2]), request
        self.requests.append(request)
        address, function, start, count = struct.unpack(">BBHH", request[:-2])
        late, self._late = self._late, b""
        if address != self.address:
            return late
        data = self.blocks.get((function, start, count))
        reply = bytes((address, function | 0x80, 2)) if data is None else bytes((address, function, len(data))) + data
        reply += crc_modbus(reply)
        fault = self.faults.pop(0) if self.faults else None
        if fault == "silence":
            return b""
        if fault == "late":
            self._late = reply
            return b""
        if fault == "crc":
            return reply[:-1] + bytes((reply[-1] ^ 1,))
        if fault == "busy":
            reply = bytes((address, function | 0x80, 6))
            return reply + crc_modbus(reply)
        if fault == "other":
            reply = bytes((address + 1,)) + reply[1:-2]
            return reply + crc_modbus(reply)
        if fault == "function":
            reply = bytes((address, function ^ 7)) + reply[2:-2]
            return reply + crc_modbus(reply)
        if fault == "short":
            return reply[:-3]
        if fault == "noise":
            return b"\x00\xff\x13" + reply
        if fault == "echo":
            return request + reply
        assert fault is None, fault
        return late + reply


class Chip:
    """An ATM90E32 on SPI: locked configuration, registers that reading clears, and what it last sent."""

    ENERGY = range(0x80, 0x88)

    def __init__(self):
        self.registers = {}
        self.energy = {}
        self.resets = 0
        self.absent = False
        # register: how many of its next answers are spoiled
        self.disturbed = {}
        self._noise = 0
        self.power_on()

    def power_on(self):
        self.registers = {0x00: 0}
        self.energy = dict.fromkeys(self.ENERGY, 0)
        self._last = 0

    def select(self, level):
        assert level in (0, 1)

    def write_readinto(self, request, answer):
        address = request[0] << 8 | request[1]
        value = request[2] << 8 | request[3]
        register = address & 0x7FFF
        if self.absent:
            value = 0xFFFF
        elif address & 0x8000:
            value = self._read(register)
        else:
            self._write(register, value)
            value = 0
        if address & 0x8000 and self.disturbed.get(register):
            self.disturbed[register] -= 1
            self._noise += 1
            value ^= 0x0410 + self._noise
        answer[0] = answer[1] = 0
        answer[2], answer[3] = value >> 8, value & 0xFF

    def _read(self, register):
        if register == 0x78:
            return self._last
        if register in self.energy:
            # sixteen bits, and no more
            self._last = self.energy[register] & 0xFFFF
            self.energy[register] = 0
        else:
            self._last = self.registers.get(register, 0)
        return self._last

    def _write(self, register, value):
        self._last = value
        if register == 0x70 and value == 0x789A:
            self.resets += 1
            self.power_on()
        elif register == 0x7F or self.registers.get(0x7F) == 0x55AA:
            self.registers[register] = value


class Bench(Chip):
    """A chip on a test bench: what it shows of a load, by its gains and its transformers' errors, and their angle.

    `load` is (V, A, degrees that the current lags) of a phase; `errors` is (voltage, current, degrees): what it shows
    at gains of 32768, as parts of the truth, and by how much its transformers bring the current forward.
    """

    UNIT_DEGREES = 360 * 50 / 2_048_000

    def __init__(self, load, errors):
        self.load = load
        self.errors = errors
        Chip.__init__(self)

    def _read(self, register):
        if 0xB1 <= register <= 0xB3 or 0xC1 <= register <= 0xC3:
            power = self._power((register & 15) - 1) & 0xFFFFFFFF
            self._last = power >> 16 if register < 0xC0 else power & 0xFFFF
            return self._last
        if 0xD9 <= register <= 0xDB:
            self._last = min(int(100 * self._voltage(register - 0xD9)), 0xFFFF)
            return self._last
        if 0xDD <= register <= 0xDF:
            self._last = min(int(1000 * self._current(register - 0xDD)), 0xFFFF)
            return self._last
        return Chip._read(self, register)

    def _voltage(self, phase):
        return self.load[0] * self.errors[0] * self.registers.get(0x61 + 4 * phase, 0) / 32768

    def _current(self, phase):
        return self.load[1] * self.errors[1] * self.registers.get(0x62 + 4 * phase, 0) / 32768

    def _power(self, phase):
        import math

        gain = self.registers.get(0x47 + 2 * phase, 0)
        gain -= (gain & 0x8000) << 1
        angle = self.registers.get(0x48 + 2 * phase, 0)
        angle = -(angle & 0x7FFF) if angle & 0x8000 else angle
        lag = self.load[2] - self.errors[2] + angle * self.UNIT_DEGREES
        watts = self._voltage(phase) * self._current(phase) * math.cos(math.radians(lag)) * (1 + gain / 32768)
        return round(watts / 0.00032)


class Buses:
    """Stands for sensors.buses.Buses; what a sensor asked for is remembered."""

    def __init__(self, device=None):
        self.device = device
        self.asked = []

    def line(self, settings, baudrate, bits=8, parity=None, inverted=False):
        from sensors.line import Line

        self.asked.append([baudrate, bits, parity, inverted])
        return Line(Uart(self.device))

    def spi(self, settings):
        return self.device, self.device.select

    def pulses(self, settings):
        return self.device


def load(path):
    """A file of `telegrams/`: hexadecimal digits, or text whose lines end as on the wire."""
    with open(path) as file:
        lines = [line for line in file if not line.startswith("#")]
    if path.endswith(".hex"):
        return binascii.unhexlify("".join(line.strip() for line in lines))
    return "".join(lines).replace("\n", "\r\n").encode()


def sample_of(sample):
    return {name: list(value) if isinstance(value, tuple) else value for name, value in
            (("counters_mwh", sample.counters_mwh), ("power_w", sample.power_w), ("voltage_mv", sample.voltage_mv),
             ("current_ma", sample.current_ma), ("flags", sample.flags))}  # fmt: skip
