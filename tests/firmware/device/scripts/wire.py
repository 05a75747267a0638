# A board's pins, as sensors ask for them. Argument: a file with the sensors, whether MicroPython has machine.Counter,
# and the board's name where it is known. Prints what was made of machine's parts, or the complaint.
import json
import sys

with open(sys.argv[1]) as file:
    entries, counters, *board = json.load(file)
made = []


class Pin:
    IN, OUT, PULL_UP, PULL_DOWN, IRQ_FALLING, IRQ_RISING = range(6)

    def __init__(self, number, *arguments, **named):
        if number in (24, 30):
            # as on a board that lacks them
            raise ValueError("invalid pin")
        self.number = number
        made.append(["Pin", number, list(arguments), named])

    def irq(self, handler, trigger):
        made.append(["irq", self.number, trigger])

    def __call__(self, level):
        made.append(["level", self.number, level])


class UART:
    INV_RX = 4

    def __init__(self, number, **named):
        made.append(["UART", number, named])


def pins(named):
    return {name: value.number if isinstance(value, Pin) else value for name, value in named.items()}


class SPI:
    def __init__(self, number, baudrate, **named):
        made.append(["SPI", number, baudrate, pins(named)])


class Counter:
    RISING, FALLING = 1, 2

    def __init__(self, number, pin, **named):
        made.append(["Counter", number, pin.number, named])

    def value(self):
        return 0


class Machine:
    pass


Machine.Pin, Machine.UART, Machine.SPI = Pin, UART, SPI
if counters:
    Machine.Counter = Counter
sys.modules["machine"] = Machine

from configuration import ConfigurationError  # noqa: E402
from sensors.buses import Buses  # noqa: E402
from sensors.make import make_all  # noqa: E402

try:
    sensors = make_all(entries, Buses(*board))
    told = [[sensor.role, sensor.driver] for sensor in sensors]
    print(json.dumps({"made": made, "sensors": told, "tags": len({sensor.tag for sensor in sensors})}))
except ConfigurationError as error:
    print(json.dumps(str(error)))
