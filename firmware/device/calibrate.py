"""At the serial prompt, with the firmware stopped: compares the metering chip with a reference, and keeps its gains.

`pumasi meter calibrate` runs it. The gains go into the sensor's settings in `config.json`.
"""

import asyncio
import gc
import json
import os
import sys

import configuration
from configuration import Configuration, ConfigurationError
from remote import Remote
from slots import Slots

CONFIGURATION = "config.json"
# a power cut leaves the old file or the new one
NEW = "config.new"


def main(phase: int, voltage_mv: int, current_ma: int, power_mw: "int | None" = None, inductive: bool = False) -> None:
    """Prints one line of JSON: {"meter", "sensors", "role", "phase", "before", "after", "gains"}, or {"problem"}.

    `phase` counts from 0. With `inductive` the phase's angle is found at an inductive load, otherwise its gains at a
    load of power factor 1.
    """
    from sensors.sensor import SensorError

    # the tasks of the meter that was interrupted would go on, and write their own gains
    asyncio.new_event_loop()
    gc.collect()
    try:
        said = asyncio.run(_run(phase, voltage_mv, current_ma, power_mw, inductive))
    except (ConfigurationError, SensorError, ValueError) as error:
        said = {"problem": str(error)}
    except OSError as error:
        said = {"problem": "the flash is full or broken (error %s)" % error.errno}
    sys.stdout.write(json.dumps(said) + "\n")


async def _run(phase: int, voltage_mv: int, current_ma: int, power_mw: "int | None", inductive: bool) -> dict:
    from sensors.buses import Buses
    from sensors.make import make

    config = configuration.load(CONFIGURATION)
    # what the market has said of the sensors counts, as it does when the meter runs
    Remote(config, Slots("settings"))
    index = _place(config)
    entry = config.sensors[index]
    sensor = make(entry, Buses(config.board), "sensors[%d]." % index)
    if not 0 <= phase < entry["phases"]:
        raise ValueError("sensors[%d] has %d phases, and no L%d" % (index, entry["phases"], phase + 1))
    await sensor.begin()
    before = await _shown(sensor, phase)
    if inductive:
        await sensor.calibrate_angle(phase, voltage_mv, current_ma, power_mw)
    else:
        await sensor.calibrate(phase, voltage_mv, current_ma, power_mw)
    entry.update(sensor.gains())
    _save(config.sensors)
    return {
        "meter": config.meter,
        "sensors": config.sensors,
        "role": sensor.role,
        "phase": phase,
        "before": before,
        "after": await _shown(sensor, phase),
        "gains": sensor.gains(),
    }


def _place(config: Configuration) -> int:
    for index, entry in enumerate(config.sensors):
        if entry.get("driver") == "atm90e32":
            return index
    raise ConfigurationError("sensors: none is an atm90e32; only that chip is calibrated here")


async def _shown(sensor, phase: int) -> "list[int]":
    """[mW, mV, mA], means of a few looks."""
    return [values[phase] for values in await sensor.measure(4)]


def _save(sensors: "list[dict]") -> None:
    with open(CONFIGURATION) as file:
        fields = json.load(file)
    fields["sensors"] = sensors
    with open(NEW, "w") as file:
        json.dump(fields, file)
    os.rename(NEW, CONFIGURATION)
