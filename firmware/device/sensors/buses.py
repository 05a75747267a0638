"""UARTs, SPI and pins of the board, made when a sensor's settings ask for them.

Serial settings: `uart` (1 or 2) with `tx` and `rx` pins, `de` where an RS-485 transceiver needs a direction pin, and
`inverted` for the receiving pin; or, on Linux, `uart` as the path of a serial device that stty has prepared.
SPI settings: `sck`, `mosi`, `miso`, `cs`. Pulse settings: `pin`, `closed` (0 or 1: the level while the contact is
closed), `debounce_ms`, or `counter` (0 to 7), a hardware counter that misses nothing but knows no debouncing.
A board that is known brings the settings of its connectors: `port` chooses among them, and pins that are named win.
"""

import pins
from configuration import ConfigurationError
from sensors.line import Line
from sensors.s0 import DEBOUNCE_MS, Contact

# two telegrams of a P1 port at 115,200 baud
_RX_BYTES = 2048
# long wires between the boards; the ATM90E32 allows more
_SPI_BAUDRATE = 200_000
_PINS_MOST = 48


class Buses:
    """Sensors that name the same UART with the same settings share one line. `board` is the board's name, if known."""

    def __init__(self, board: "str | None" = None) -> None:
        self._board = board
        self._lines = {}
        self._pulse_pins = set()

    def line(self, settings, baudrate: int, bits: int = 8, parity: "int | None" = None, inverted: bool = False) -> Line:
        self._fill(settings, "uart")
        if settings.is_text("uart"):
            path = settings.text("uart")
            form = ()
            uart = None if path in self._lines else _Device(path, settings)
            direction = None
            name = path
        else:
            name = settings.integer("uart", 1, 2)
            tx, rx = [settings.integer(pin, 0, _PINS_MOST) for pin in ("tx", "rx")]
            de = settings.integer("de", 0, _PINS_MOST) if settings.has("de") else None
            inverted = settings.boolean("inverted", inverted)
            form = (baudrate, bits, parity, inverted, de, tx, rx)
            uart = direction = None
            if name not in self._lines:
                machine = _machine(settings, "uart")
                uart = machine.UART(
                    name, baudrate=baudrate, bits=bits, parity=parity, stop=1, tx=tx, rx=rx, timeout=0,
                    rxbuf=_RX_BYTES, invert=machine.UART.INV_RX if inverted else 0,
                )  # fmt: skip
                direction = None if de is None else machine.Pin(de, machine.Pin.OUT, value=0)
        if name not in self._lines:
            self._lines[name] = (form, Line(uart, direction))
        if self._lines[name][0] != form:
            raise settings.refusal("uart", "%s is used with other settings by another sensor" % name)
        return self._lines[name][1]

    def spi(self, settings):
        """(SPI in mode 3, chip select pin)."""
        self._fill(settings, "sck")
        sck, mosi, miso, cs = [settings.integer(pin, 0, _PINS_MOST) for pin in ("sck", "mosi", "miso", "cs")]
        machine = _machine(settings, "sck")
        wires = [machine.Pin(pin) for pin in (sck, mosi, miso)]
        spi = machine.SPI(1, _SPI_BAUDRATE, polarity=1, phase=1, sck=wires[0], mosi=wires[1], miso=wires[2])
        return spi, machine.Pin(cs, machine.Pin.OUT, value=1)

    def pulses(self, settings):
        """What counts an S0 input's pulses."""
        self._fill(settings, "pin")
        number = settings.integer("pin", 0, _PINS_MOST)
        if number in self._pulse_pins:
            raise settings.refusal("pin" if self._board is None else "port", "another sensor counts there already")
        self._pulse_pins.add(number)
        closed = settings.choice("closed", (0, 1), 0)
        debounce_ms = settings.integer("debounce_ms", 1, 1000, DEBOUNCE_MS)
        counter = settings.integer("counter", 0, 7) if settings.has("counter") else None
        machine = _machine(settings, "pin")
        pin = machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP if closed == 0 else machine.Pin.PULL_DOWN)
        if counter is None:
            return Contact(pin, closed, debounce_ms)
        if not hasattr(machine, "Counter"):
            raise settings.refusal("counter", "this MicroPython has no machine.Counter; leave it out")
        edge = machine.Counter.RISING if closed == 0 else machine.Counter.FALLING
        # the longest that the hardware can filter
        return machine.Counter(counter, pin, edge=edge, filter_ns=12_000)

    def _fill(self, settings, first: str) -> None:
        """The board's own pins, unless the settings say theirs: `first` is the setting that tells."""
        if self._board is None:
            return
        chosen = settings.text("port") if settings.has("port") else None
        if settings.has(first):
            return
        board = pins.load(self._board)
        try:
            settings.fill(pins.port(board, settings.driver, chosen))
        except ConfigurationError as error:
            raise settings.located(error)


class _Device:
    """A serial device of the operating system, under the names of a machine.UART."""

    def __init__(self, path: str, settings) -> None:
        import select

        try:
            self._file = open(path, "r+b", 0)
        except OSError as error:
            raise settings.refusal("uart", "%s cannot be opened (error %s)" % (path, error.errno))
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)

    def any(self) -> int:
        return len(self._poll.poll(0))

    def read(self, most: int) -> bytes:
        # asking a device for more than it holds would block every other task
        data = b""
        while len(data) < most and self._poll.poll(0):
            byte = self._file.read(1)
            if not byte:
                break
            data += byte
        return data

    def write(self, data: bytes) -> None:
        self._file.write(data)


def _machine(settings, field: str):
    try:
        import machine
    except ImportError:
        machine = None
    if machine is None or not hasattr(machine, "UART"):
        raise settings.refusal(field, "this machine has no such pins")
    return machine
