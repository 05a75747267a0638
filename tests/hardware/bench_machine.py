# Stands for the ESP32's `machine` on a board whose ATM90E32 is at a test bench: `load.json` is what flows through it,
# [V, A, degrees that the current lags]. Lies on the flash beside `fakes.py`.
import asyncio
import json

import fakes

sleep_ms = asyncio.sleep_ms
# the chip here needs no time to settle
asyncio.sleep_ms = lambda ms: sleep_ms(ms // 10)


class Pin:
    IN, OUT, PULL_UP = 0, 1, 2

    def __init__(self, number, *how, **named):
        self.number = number

    def __call__(self, level):
        chip.select(level)

    def value(self):
        return 1


class UART:
    pass


class SPI:
    def __init__(self, number, baudrate, **named):
        pass

    def write_readinto(self, request, answer):
        with open("load.json") as file:  # noqa: PTH123  (MicroPython has no pathlib)
            chip.load = json.load(file)
        chip.write_readinto(request, answer)


# a transformer of 9 V and one of 100 A : 50 mA are as wrong as this by themselves
chip = fakes.Bench((0, 0, 0), (4.31, 1.17, 1.9))
