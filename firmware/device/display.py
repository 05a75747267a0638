"""An SSD1306 (128 x 64 or 128 x 32 dots, I2C) that shows the household's last result and the price.

The controller's commands are those of Solomon Systech's data sheet SSD1306, revision 1.1.
"""

import asyncio
import json

import framebuf
from clock import log
from configuration import ConfigurationError
from mac import verify

WIDTH = 128
ADDRESS = 0x3C
# a flood of messages must not become a flood on the bus
DRAW_LEAST_S = 1
# organic dots age where they always shine: the picture moves a little with each interval, and is not bright
_SHIFTS = 4
_CONTRAST = 0x40
_TEXT_MOST = 16
_WH_MOST = 9_999_999


class Ssd1306:
    """`bus` is a machine.I2C or what stands for one: `writeto(address, bytes)`. Everything raises its OSError."""

    def __init__(self, bus, height: int = 64, address: int = ADDRESS) -> None:
        self._bus = bus
        self._height = height
        self._address = address
        # the first byte says that dots follow
        self._buffer = bytearray(1 + WIDTH * height // 8)
        self._buffer[0] = 0x40
        self.picture = framebuf.FrameBuffer(memoryview(self._buffer)[1:], WIDTH, height, framebuf.MONO_VLSB)

    def begin(self) -> None:
        self._command(
            0xAE,  # off while it is set up
            0x20, 0x00,  # addresses run along the rows, then down the pages
            0x40, 0xA1, 0xC8,  # first line 0; columns and rows so that the connector is at the top
            0xA8, self._height - 1,
            0xD3, 0x00,
            0xDA, 0x12 if self._height == 64 else 0x02,
            0xD5, 0x80, 0xD9, 0xF1, 0xDB, 0x30,  # clock, precharge, deselect level
            0x81, _CONTRAST,
            0xA4, 0xA6,  # what is in memory, not inverted
            0x8D, 0x14,  # charge pump
            0xAF,
        )  # fmt: skip

    def show(self) -> None:
        self._command(0x21, 0, WIDTH - 1, 0x22, 0, self._height // 8 - 1)
        self._bus.writeto(self._address, self._buffer)

    def _command(self, *content: int) -> None:
        self._bus.writeto(self._address, bytes((0x00,) + content))


class Display:
    """Hears `result` and `price` and draws them. A display that is unplugged costs nothing but its picture."""

    def __init__(self, screen: Ssd1306, height: int, config) -> None:
        self._screen = screen
        self._height = height
        self._config = config
        self._changed = asyncio.Event()
        self._begun = False
        self._troubled = False
        self.price = None  # type: str | None
        self.bought_wh = None  # type: int | None
        self.sold_wh = None  # type: int | None
        self.interval = 0

    def hear(self, what: str, payload: bytes) -> None:
        """A message; what is not authentic or not understood changes nothing."""
        config = self._config
        if what == "result" and not verify(config.key, config.topic("result"), payload):
            return
        try:
            message = json.loads(payload)
            start, length, price = message["start"], message["length"], message["price_per_kwh"]
            if type(start) is not int or type(length) is not int or length < 1 or not isinstance(price, str):
                return
            if what == "result":
                bought_wh, sold_wh = message["bought_wh"], message["sold_wh"]
                if type(bought_wh) is not int or type(sold_wh) is not int:
                    return
                self.bought_wh, self.sold_wh = bought_wh, sold_wh
        except (ValueError, KeyError, TypeError):
            return
        self.price = price[:_TEXT_MOST]
        self.interval = start // length
        self._changed.set()

    async def run(self) -> None:
        """Draws at the beginning and whenever something has changed."""
        while True:
            self._changed.clear()
            try:
                if not self._begun:
                    self._screen.begin()
                    self._begun = True
                self._draw()
                self._screen.show()
                self._troubled = False
            except OSError as error:
                self._begun = False
                if not self._troubled:
                    log("display: does not answer (%s)" % error)
                self._troubled = True
            await asyncio.sleep(DRAW_LEAST_S)
            await self._changed.wait()

    def _draw(self) -> None:
        picture = self._screen.picture
        picture.fill(0)
        x = self.interval % _SHIFTS
        y = self.interval // _SHIFTS % _SHIFTS
        if self.price is None:
            picture.text("Pumasi", x, y, 1)
            picture.text(self._config.meter[:15], x, y + 12, 1)
            return
        if self._height == 64:
            picture.text("price per kWh", x, y, 1)
            self._large(self.price, x, y + 10)
            y += 34
        else:
            picture.text("kWh " + self.price, x, y, 1)
            y += 10
        if self.bought_wh is not None and self.sold_wh is not None:
            picture.text("bought%7d Wh" % min(self.bought_wh, _WH_MOST), 0, y, 1)
            picture.text("sold  %7d Wh" % min(self.sold_wh, _WH_MOST), 0, y + 10, 1)

    def _large(self, text: str, left: int, top: int) -> None:
        """Twice the size, as far as it fits; the font is MicroPython's of 8 x 8 dots."""
        letter = framebuf.FrameBuffer(bytearray(8), 8, 8, framebuf.MONO_VLSB)
        for place, character in enumerate(text[: (WIDTH - left) // 16]):
            letter.fill(0)
            letter.text(character, 0, 0, 1)
            for dot in range(64):
                if letter.pixel(dot % 8, dot // 8):
                    self._screen.picture.fill_rect(left + 16 * place + 2 * (dot % 8), top + 2 * (dot // 8), 2, 2, 1)


def make(settings: dict, config, bus=None) -> Display:
    """`settings` is `display` of config.json; the bus is made of its pins or the board's. Raises ConfigurationError."""
    if settings.get("driver") != "ssd1306":
        raise ConfigurationError("display.driver: unknown " + repr(settings.get("driver")))
    height = settings.get("height", 64)
    if height not in (32, 64):
        raise ConfigurationError("display.height: neither 32 nor 64")
    address = settings.get("address", ADDRESS)
    if type(address) is not int or not 8 <= address < 120:
        raise ConfigurationError("display.address: not an integer from 8 to 119")
    if bus is None:
        bus = _bus(settings, config.board)
    return Display(Ssd1306(bus, height, address), height, config)


def _bus(settings: dict, board: "str | None"):
    from machine import I2C, Pin

    if board is not None and settings.get("scl") is None:
        import pins

        settings = dict(pins.port(pins.load(board), "ssd1306"), **settings)
    for name in ("scl", "sda"):
        if type(settings.get(name)) is not int:
            raise ConfigurationError("display.%s: not a pin's number" % name)
    return I2C(0, scl=Pin(settings["scl"]), sda=Pin(settings["sda"]), freq=400_000)
