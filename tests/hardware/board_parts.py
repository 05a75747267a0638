# Button, light and display of a board, as the firmware makes them; run by test_device_parts.py. Argument: the board.
# Prints what was asked of `machine`, and what the light does in each state.
import asyncio
import json
import sys

made = []


class Pin:
    IN, OUT, PULL_UP = 0, 1, 2

    def __init__(self, number, *how, **named):
        self.number = number
        made.append(["Pin", number])

    def __call__(self, level):
        pass


class I2C:
    def __init__(self, number, scl, sda, freq):
        made.append(["I2C", scl.number, sda.number])


class Machine:
    pass


Machine.Pin, Machine.I2C, Machine.UART = Pin, I2C, None
sys.modules["machine"] = Machine

import button  # noqa: E402
import display  # noqa: E402
import led  # noqa: E402
import meter  # noqa: E402
import pins  # noqa: E402


class Thing:
    def __init__(self, **members):
        for name, value in members.items():
            setattr(self, name, value)


async def light(connected, error):
    """What the lamp does in the first two seconds: [millisecond, level]."""
    seen = []
    now_ms = [0]

    async def sleep_ms(ms):
        now_ms[0] += ms
        if now_ms[0] >= 2000:
            raise EOFError

    led.asyncio = Thing(sleep_ms=sleep_ms)
    whole = Thing(
        link=Thing(connected=connected), intervals=Thing(views=lambda: [Thing(error=None), Thing(error=error)])
    )
    try:
        await led.watch(whole, lambda level: seen.append([now_ms[0], level]))
    except EOFError:
        return seen


board = pins.load(sys.argv[1])
button.pin(board["button"])
meter._lamp(board["led"])
config = Thing(board=sys.argv[1])
display.make({"driver": "ssd1306"}, config)
display.make({"driver": "ssd1306", "scl": 9, "sda": 8}, config)
lights = [
    asyncio.run(light(connected, error)) for connected, error in ((True, None), (False, None), (True, "no answer"))
]
print(json.dumps({"made": made, "lights": lights}))
