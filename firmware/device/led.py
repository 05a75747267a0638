"""The board's light: on while all is well, blinking slowly without the market, twice in a row where a sensor fails."""

import asyncio

# milliseconds on, off, on, off …
WELL = (2000, 0)
AWAY = (200, 1800)
DEAF = (200, 200, 200, 1400)


def pattern(connected: bool, sensors_answer: bool) -> "tuple[int, ...]":
    """A sensor that fails is worse: readings wait for the market, but nobody has what was not measured."""
    if not sensors_answer:
        return DEAF
    return WELL if connected else AWAY


async def watch(meter, lamp) -> None:
    """`lamp(1)` is on; `meter` has `link` and `intervals`."""
    while True:
        failing = any(view.error is not None for view in meter.intervals.views())
        level = 1
        for wait_ms in pattern(meter.link.connected, not failing):
            if wait_ms:
                lamp(level)
                await asyncio.sleep_ms(wait_ms)
            level = 1 - level
