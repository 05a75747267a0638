"""From the configuration's `sensors` to drivers; each driver is imported only where it is used."""

import binascii

from clock import log
from configuration import ConfigurationError
from sensors.settings import Settings

DRIVERS = ("atm90e32", "jsy194t", "p1", "pzem004t", "s0", "sdm", "simulated", "sml")


def make(settings: dict, buses, where: str = ""):
    """The driver of one entry.

    `buses` is a sensors.buses.Buses or what stands for one: `line(settings, baudrate, …)`, `spi(settings)` and
    `pulses(settings)`. Raises ConfigurationError that names the field.
    """
    checked = Settings(settings, where)
    driver = checked.choice("driver", DRIVERS)
    module = __import__("sensors." + str(driver), None, None, ("make",))
    try:
        sensor = module.make(checked, buses)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        # pins and buses differ from board to board, and only the board itself knows which of them it has
        raise ConfigurationError("%s: this board refuses it: %s" % (where.rstrip(".") or "sensor", error))
    sensor.driver = driver
    sensor.tag = binascii.crc32(repr(sorted([(name, str(value)) for name, value in settings.items()])).encode())
    sensor.ignored = checked.unused()
    return sensor


def make_all(entries: "list[dict]", buses) -> list:
    """Raises ConfigurationError."""
    sensors = []
    for index, settings in enumerate(entries):
        where = "sensors[%d]." % index
        sensor = make(settings, buses, where)
        if any(sensor.tag == other.tag for other in sensors):
            raise ConfigurationError("sensors[%d]: the same as another" % index)
        for name in sensor.ignored:
            log("configuration: %s%s is not known to this driver" % (where, name))
        sensors.append(sensor)
    if any(sensor.exact for sensor in sensors) and not all(sensor.exact for sensor in sensors):
        raise ConfigurationError("sensors: a simulated one cannot be among real ones")
    if not any(sensor.role == "grid" for sensor in sensors):
        raise ConfigurationError("sensors: none has the role 'grid'")
    return sensors
