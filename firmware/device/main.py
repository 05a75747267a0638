"""The meter: reads its configuration, wires the parts and runs until the clock ends."""

import asyncio
import sys

import configuration
from clock import ConductorClock, NtpClock, log
from intervals import Intervals
from link import Link
from messages import flag_bit
from outbox import Outbox
from slots import Slots


def event(name: str, meter: str, start: "int | None" = None) -> None:
    """One JSON line for the conductor, in one write."""
    started = "" if start is None else ',"start":%d' % start
    sys.stdout.write('{"event":"%s","meter":"%s"%s}\n' % (name, meter, started))


def make_sensor(settings: dict):
    """(sensor, flag bit) for the configured driver; each driver is imported only where it is used."""
    if settings.get("driver") == "simulated":
        from sensors.simulated import FLAG, Simulated

        return Simulated(settings["profile"]), flag_bit(FLAG)
    raise configuration.ConfigurationError("sensor: unknown driver " + repr(settings.get("driver")))


def make_radio(settings: "dict | None"):
    if settings is None:
        return None
    from wifi import Wifi

    return Wifi(settings["ssid"], settings["password"])


async def run(config: configuration.Configuration) -> None:
    sensor, sensor_flag = make_sensor(config.sensor)
    clock = ConductorClock(sys.stdin.buffer) if config.clock == "conductor" else NtpClock(config.interval_s)
    outbox = Outbox("outbox")
    intervals = Intervals(outbox, Slots("outbox/origin"), sensor, sensor_flag, config.interval_s)
    radio = make_radio(config.wifi)
    link = Link(config, outbox, clock, radio, lambda: event("ready", config.meter))
    sending = asyncio.create_task(link.run())
    while True:
        now_s = await clock.tick()
        if now_s is None:
            break
        if sending.done():
            # its own traceback is above; a meter that cannot send must not look alive
            raise RuntimeError("the link ended")
        link.tick()
        for start in intervals.close_until(now_s):
            event("closed", config.meter, start)
            link.wake()
            # a long absence is many intervals: let the link work between them
            await asyncio.sleep_ms(0)
    sending.cancel()


def main() -> None:
    try:
        config = configuration.load("config.json")
        asyncio.run(run(config))
    except configuration.ConfigurationError as error:
        log("configuration: " + str(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
