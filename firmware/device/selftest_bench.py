"""The self-test of a meter whose firmware is stopped: asks sensors, radio, time server and broker itself."""

import asyncio
import sys
import time

import configuration
import ntp
import selftest
from clock import EPOCH_SHIFT_S, set_rtc
from dial import why
from selftest import FAIL, OK, SKIP, Check
from slots import exists

CONFIGURATION = "config.json"
SENSOR_TIMEOUT_S = 30
BROKER_TIMEOUT_S = 30
PUBLIC_TIME = "pool.ntp.org"


async def run(load_w: int, wait_s: int) -> "tuple[str | None, list[Check]]":
    """(the meter's name or None, the checks)."""
    try:
        config = configuration.load(CONFIGURATION)
    except configuration.ConfigurationError as error:
        broken = Check("configuration", FAIL, "configuration", (str(error),))
        return None, [broken, selftest.memory(), selftest.flash()]
    checks = await _sensors(config, load_w, wait_s)
    checks.append(await _wifi(config))
    told, now_s = await _clock(config)
    checks.append(told)
    checks.append(selftest.broker(config, await _broker_problem(config)))
    checks.append(selftest.certificate(config, now_s))
    return config.meter, checks + [selftest.memory(), selftest.flash(), selftest.outbox(_outbox())]


async def _sensors(config, load_w: int, wait_s: int) -> "list[Check]":
    from intervals import View
    from sensors.make import make_all

    try:
        found = make_all(config.sensors, _buses(config))
    except (configuration.ConfigurationError, OSError, ValueError) as error:
        return [Check("sensors", FAIL, "sensor-fails", (str(error),))]
    views = []
    for sensor in found:
        sample, problem = await _ask(sensor)
        views.append(View(sensor.role, sensor.driver, sample, 0, problem))
    checks = selftest.sensors(views)
    if load_w:
        sys.stderr.write("self-test: switch on a load of %d W now\n" % load_w)
        await asyncio.sleep(wait_s)
        for index, sensor in enumerate(found):
            before = views[index].sample
            if before is not None and sensor.role != "generation":
                checks.append(await _load(sensor, before, load_w))
    return checks


def _buses(config):
    if all(entry.get("driver") == "simulated" for entry in config.sensors):
        return None
    from sensors.buses import Buses

    return Buses(config.board)


async def _ask(sensor):
    """(sample, None) or (None, what is wrong)."""
    from sensors.sensor import SensorError

    try:
        return await asyncio.wait_for(sensor.read(int(time.time()) + EPOCH_SHIFT_S), SENSOR_TIMEOUT_S), None
    except SensorError as error:
        return None, str(error)
    except (OSError, asyncio.TimeoutError) as error:
        return None, why(error)


async def _load(sensor, before, load_w: int) -> Check:
    from sensors.diagnose import load_answers

    name = "load " + sensor.role
    after, problem = await _ask(sensor)
    if after is None:
        return Check(name, FAIL, "sensor-fails", (problem,))
    text = load_answers(before, after, sensor.role, load_w)
    return Check(name, OK, "load-ok", (load_w,)) if text is None else Check(name, FAIL, "load-not", (text,))


async def _wifi(config) -> Check:
    if config.wifi is None:
        return selftest.wifi(None, None, None)
    from wifi import Wifi

    radio = Wifi(config.wifi["ssid"], config.wifi.get("password"))
    problem = None
    try:
        await radio.ensure()
    except OSError as error:
        problem = str(error)
    return selftest.wifi(radio.ssid, radio.rssi_dbm(), problem)


async def _clock(config) -> "tuple[Check, int | None]":
    """The check, and the time [epoch s] if it is known. A board's clock is set by it."""
    if config.clock == "conductor":
        return Check("clock", SKIP, "clock-host", ()), int(time.time()) + EPOCH_SHIFT_S
    servers = config.ntp if config.ntp is not None else [PUBLIC_TIME] + ([] if config.hub is None else [config.hub[0]])
    for server in servers:
        host, _, port = server.partition(":")
        try:
            answer = await ntp.ask(host, int(port or ntp.PORT))
        except (OSError, ntp.NtpError):
            continue
        set_rtc(answer.epoch_ms // 1000)
        return Check("clock", OK, "clock-ok", (answer.round_trip_ms // 2 + 1000,)), answer.epoch_ms // 1000
    now_s = int(time.time()) + EPOCH_SHIFT_S
    if not servers and now_s >= ntp.LEAST_S:
        return Check("clock", SKIP, "clock-host", ()), now_s
    return Check("clock", FAIL, "clock-not", ()), now_s if now_s >= ntp.LEAST_S else None


async def _broker_problem(config) -> "str | None":
    try:
        return await asyncio.wait_for(_speak(config), BROKER_TIMEOUT_S)
    except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
        return why(error)


async def _speak(config) -> "str | None":
    """Connects as the meter does, under a client id of its own: a meter that runs meanwhile keeps its connection."""
    import mqtt
    import trust

    name = config.community + "/" + config.meter
    client = mqtt.Client(lambda topic, payload: None, lambda: None)
    try:
        context = trust.context(client=True) if config.tls else None
        await client.connect(config.host, config.port, name + "/self-test", config.user, config.password, None, context)
        if not await client.subscribe(config.topic("ack")):
            return "it does not let this meter hear its acks: is it still a member of the community?"
        return None
    except mqtt.ProtocolError as error:
        return str(error)
    finally:
        await client.close()


def _outbox():
    if not exists("outbox/identity.a") and not exists("outbox/identity.b"):
        return None
    from outbox import Outbox

    return Outbox("outbox")
