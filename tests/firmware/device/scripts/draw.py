# Shows messages on a stand-in for an SSD1306 that decodes what comes over its bus. Argument: the height. `steps.json`
# is a list of [what, payload], "unplug", "plug" or "wait". Prints what is to be seen after each "wait".
import asyncio
import json
import sys

import configuration
import display
import framebuf

height = int(sys.argv[1])
display.DRAW_LEAST_S = 0


# of the data sheet's commands, in bytes, where it is not one
LENGTHS = {0x20: 2, 0xA8: 2, 0xD3: 2, 0xDA: 2, 0xD5: 2, 0xD9: 2, 0xDB: 2, 0x81: 2, 0x8D: 2, 0x21: 3, 0x22: 3}


class Controller:
    """Understands the commands as far as they set addresses or state."""

    def __init__(self):
        self.plugged = True
        self.memory = bytearray(1024)
        self.state = {}
        self.on = False
        self.window = [0, 127, 0, 7]

    def writeto(self, address, content):
        if not self.plugged or address != 0x3C:
            raise OSError(19)
        if content[0] == 0x40:
            self.write(content[1:])
            return
        assert content[0] == 0
        place = 1
        while place < len(content):
            command = content[place]
            length = LENGTHS.get(command, 1)
            self.command(command, content[place + 1 : place + length])
            place += length

    def command(self, command, values):
        if command in (0xAE, 0xAF):
            self.on = command == 0xAF
        elif command == 0x21:
            self.window[:2] = list(values)
        elif command == 0x22:
            self.window[2:] = list(values)
        elif values:
            self.state[command] = values[0]

    def write(self, dots):
        assert self.state[0x20] == 0
        left, right, top, bottom = self.window
        column, page = left, top
        for byte in dots:
            self.memory[128 * page + column] = byte
            column += 1
            if column > right:
                column, page = left, page + 1
                if page > bottom:
                    page = top


def read(memory, x, y, scale=1):
    """The letters of the 8 x 8 font that stand in the row at (x, y), each dot `scale` times as wide and high."""
    shown = framebuf.FrameBuffer(memory, 128, 64, framebuf.MONO_VLSB)
    letter = bytearray(8)
    glyph = framebuf.FrameBuffer(letter, 8, 8, framebuf.MONO_VLSB)
    known = {}
    for code in range(32, 127):
        glyph.fill(0)
        glyph.text(chr(code), 0, 0, 1)
        known[bytes(letter)] = chr(code)
    text = ""
    while x + 8 * scale <= 128:
        glyph.fill(0)
        whole = True
        for dot in range(64):
            left, top = x + dot % 8 * scale, y + dot // 8 * scale
            dots = [shown.pixel(left + i % scale, top + i // scale) for i in range(scale * scale)]
            glyph.pixel(dot % 8, dot // 8, dots[0] or 0)
            whole = whole and len(set(dots)) == 1
        text += known.get(bytes(letter), "?") if whole else "?"
        x += 8 * scale
    return text.rstrip()


async def run():
    controller = Controller()
    config = configuration.load("config.json")
    shown = display.make({"driver": "ssd1306", "scl": 1, "sda": 2, "height": height}, config, controller)
    drawing = asyncio.create_task(shown.run())
    pictures = []
    for step in json.load(open("steps.json")):
        if step == "unplug":
            controller.plugged = False
        elif step == "plug":
            controller.plugged = True
            controller.memory = bytearray(1024)
            controller.on = False
        elif step == "wait":
            await asyncio.sleep_ms(20)
            x = shown.interval % 4
            y = shown.interval // 4 % 4
            memory = controller.memory
            picture = {"on": controller.on, "at": [x, y], "large": read(memory, x, y + 10, 2)}
            # by the row in which they begin; energies begin at the left edge
            for place in (0, 12):
                picture[str(place)] = read(memory, x, y + place)
            for place in (10, 20, 34, 44):
                picture[str(place)] = read(memory, 0, y + place)
            picture["below"] = any(memory[128 * height // 8 :])
            pictures.append(picture)
        else:
            shown.hear(step[0], step[1].encode())
    drawing.cancel()
    return pictures


print(json.dumps(asyncio.run(run())))
