"""The meter: wires its parts and runs until the clock ends, or until it is to start again."""

import asyncio
import gc
import sys

import configuration
from clock import ConductorClock, NtpClock, log
from configuration import Configuration, ConfigurationError
from intervals import Intervals
from link import Link
from messages import VERSION
from outbox import Outbox
from remote import Remote
from slots import Slots, exists
from trial import Trial
from update import Updates
from watchdog import Watchdog, shorter

CONFIGURATION = "config.json"
# an enrolment that was interrupted by a power cut
ENROLLED = "enrolled.new"
PUBLIC_TIME = "pool.ntp.org"

# boots in a row that did not become healthy before the sensors of the market's message are doubted; fewer than
# those after which the boot stage doubts a version that has proven itself
SENSORS_BOOTS = 5

# exit statuses; to a board each of them is a restart
ENDED, FAILED, MISCONFIGURED, RESTART = range(4)


def main(hardware_watchdog=None) -> int:
    """The exit status. Raises what nobody expected."""
    watchdog = Watchdog(shorter(hardware_watchdog))
    try:
        if exists(ENROLLED):
            import staged

            staged.finish()
        config = configuration.load(CONFIGURATION)
        for name in config.unknown:
            log("configuration: '%s' is not known here" % name)
        return asyncio.run(Meter(config, watchdog).run())
    except ConfigurationError as error:
        log("configuration: " + str(error))
    if not _has_radio():
        return MISCONFIGURED
    # whoever mounts it has a phone
    import portal

    portal.run(watchdog.feed)
    return RESTART


class Meter:
    """The parts of one meter. Raises ConfigurationError for what only they can find wrong."""

    def __init__(self, config: Configuration, watchdog: Watchdog) -> None:
        self.config = config
        self.remote = Remote(config, Slots("settings"))
        self.trial = Trial()
        sensors = self._make_sensors()
        if config.clock == "conductor":
            self.clock = ConductorClock(sys.stdin.buffer)
        else:
            self.clock = NtpClock(_time_servers(config))
        self.outbox = Outbox("outbox")
        if self.outbox.last is not None:
            self.clock.closed(self.outbox.last.start + self.outbox.last.length)
        self.intervals = Intervals(self.outbox, Slots("outbox/metering"), sensors, config)
        self.radio = _make_radio(config)
        self.display = self._make_display()
        self.link = Link(config, self.outbox, self.clock, self.radio, self._ready, self.status, self._hear)
        self.updates = Updates(self.remote, self.trial, self._fetch)
        self.remote.on_change = self.updates.wake
        self._watchdog = watchdog
        self._enrolled = False

    async def run(self) -> int:
        """The exit status."""
        vital = [asyncio.create_task(self.link.run())]
        if self.config.clock == "ntp":
            vital.append(asyncio.create_task(self.clock.run()))
        tasks = vital + [asyncio.create_task(work) for work in self._others()]
        part = -1
        try:
            while not (self._enrolled or self.remote.restart or self.updates.restart or self.trial.restart):
                now_s = await self.clock.tick()
                if now_s is None:
                    return ENDED
                if any(task.done() for task in vital):
                    # its own traceback is above; a meter that cannot send or tell the time must not look alive
                    raise RuntimeError("the link or the clock ended")
                if now_s // self.config.interval_s != part:
                    part = now_s // self.config.interval_s
                    self.link.tick()
                await self._measure(now_s)
            try:
                self.intervals.save()
            except OSError as error:
                # the last record stands
                log("meter: not saved: " + str(error))
            log("meter: starts again")
            return RESTART
        finally:
            for task in tasks:
                task.cancel()

    def status(self) -> dict:
        """What the retained status says of this meter."""
        gc.collect()
        refused = dict(self.remote.refused)
        refused["ack"] = self.link.refused
        refused["time"] = self.clock.refused
        return {
            "firmware": VERSION,
            "free_memory": gc.mem_free(),
            "outbox": len(self.outbox),
            "dropped": self.outbox.dropped,
            "clock_error_ms": self.clock.error_ms,
            "kid": self.config.kid,
            "config": self.remote.version,
            "boots": self.trial.boots,
            "refused": {name: count for name, count in refused.items() if count},
            "sensors": self.intervals.sensor_states(),
        }

    async def _measure(self, now_s: int) -> None:
        """Once a second, or at each tick of the conductor."""
        while True:
            for start in await self.intervals.step(now_s, self.clock):
                self.clock.closed(start + self.config.interval_s)
                event("closed", self.config.meter, start)
                self.link.wake()
            self._watchdog.round(self.intervals.progress)
            self.trial.look(self.intervals.answers, self.link.connections)
            if not self.intervals.behind:
                return
            # a long absence is many intervals: let the link work between them
            await asyncio.sleep_ms(0)

    def _others(self):
        """What runs beside metering, the link and the clock."""
        yield self.updates.run()
        if self.display is not None:
            yield self.display.run()
        board = self._board()
        if self.radio is not None:
            import button

            yield button.watch(self.radio, self._restart, board.get("button"))
        lamp = _lamp(board.get("led"))
        if lamp is not None:
            import led

            yield led.watch(self, lamp)
        if self.config.page:
            import page

            yield page.serve(self, self.config.page)

    def _restart(self) -> None:
        self._enrolled = True

    def _make_sensors(self) -> list:
        if self.trial.boots > SENSORS_BOOTS and self.remote.undo_sensors():
            # a pin that the board needs itself ends in a restart, not in an error
            self.remote.refuse("config", "with these sensors it never became healthy")
        try:
            return _sensors(self.config)
        except ConfigurationError as error:
            if not self.remote.undo_sensors():
                raise
            # a message must not cost the meter its senses
            self.remote.refuse("config", str(error))
            return _sensors(self.config)

    def _make_display(self):
        if self.config.display is None:
            return None
        import display

        try:
            return display.make(self.config.display, self.config)
        except (ConfigurationError, ImportError, OSError, ValueError) as error:
            # the picture is not what the meter is for
            log("configuration: " + str(error))
            return None

    def _board(self) -> dict:
        """What is known of the board; nothing where nobody said which it is."""
        if self.config.board is None:
            return {}
        import pins

        try:
            return pins.load(self.config.board)
        except ConfigurationError as error:
            # sensors whose pins are named do without; the others have said so
            log("configuration: " + str(error))
            return {}

    def _ready(self) -> None:
        event("ready", self.config.meter)

    def _hear(self, what: str, payload: bytes) -> None:
        if what == "config":
            self.remote.hear(self.config.topic("config"), payload)
        elif self.display is not None:
            self.display.hear(what, payload)

    async def _fetch(self, path: str):
        import https
        import trust

        if self.config.hub is None:
            raise ValueError("no hub is configured")
        await self.clock.synced.wait()
        host, port = self.config.hub
        gc.collect()
        return await https.open(host, port, trust.context(), "GET", path)


def event(name: str, meter: str, start: "int | None" = None) -> None:
    """One JSON line for the conductor, in one write."""
    started = "" if start is None else ',"start":%d' % start
    sys.stdout.write('{"event":"%s","meter":"%s"%s}\n' % (name, meter, started))


def _sensors(config: Configuration) -> list:
    from sensors.make import make_all

    if all(settings["driver"] == "simulated" for settings in config.sensors):
        return make_all(config.sensors, None)
    from sensors.buses import Buses

    return make_all(config.sensors, Buses(config.board))


def _time_servers(config: Configuration) -> "list[str]":
    if config.ntp is not None:
        return config.ntp
    return [PUBLIC_TIME] if config.hub is None else [PUBLIC_TIME, config.hub[0]]


def _make_radio(config: Configuration):
    if config.wifi is None:
        return None
    from wifi import Wifi

    # the name it goes by in the household's network
    return Wifi(config.wifi["ssid"], config.wifi.get("password"), "pumasi-" + config.meter)


def _lamp(number: "int | None"):
    """None where there is none, as on a computer."""
    if number is None:
        return None
    try:
        from machine import Pin

        return Pin(number, Pin.OUT, value=0)
    except (ImportError, AttributeError):
        return None


def _has_radio() -> bool:
    try:
        import network  # noqa: F401
    except ImportError:
        return False
    return True
