"""The self-test: what is connected to this meter, and what is wrong with it, as named results.

`main()` runs it at the serial prompt and prints one line of JSON; the meter's own page shows the same of a running one.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections import namedtuple

from messages import VERSION

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"

RSSI_LEAST_DBM = -80
MEMORY_LEAST_BYTES = 16_384
FLASH_LEAST_KB = 64
CERTIFICATE_LEAST_DAYS = 30
# two days of quarter-hours
WAITING_MOST = 192
SAMPLE_AGE_MOST_S = 60
# noise has either sign
DEAD_W = 25

# `code` names a sentence of selftest_en and selftest_ko, `values` are what it is about
Check = namedtuple("Check", ("check", "level", "code", "values"))


def rows(checks: "list[Check]", says: "dict[str, str]") -> "list[dict]":
    """For people and for `pumasi meter doctor`; `ok` is None for what was not tried."""
    return [
        {
            "check": check.check,
            "ok": None if check.level == SKIP else check.level != FAIL,
            "level": check.level,
            "says": says[check.code] % check.values,
        }
        for check in checks
    ]


def sensors(views) -> "list[Check]":
    """Of intervals' views: does each sensor answer, which way do its transformers face, do the phases come in order."""
    from sensors import diagnose
    from sensors.sensor import UNCALIBRATED

    found = []
    generation_w = [sum(view.sample.power_w) for view in views if view.role == "generation" and view.sample is not None]
    for view in views:
        sample = view.sample
        if view.error == UNCALIBRATED:
            found.append(Check("sensor " + view.role, FAIL, "sensor-uncalibrated", ()))
            continue
        if view.error is not None or sample is None:
            found.append(Check("sensor " + view.role, FAIL, "sensor-fails", (view.error or "no answer yet",)))
            continue
        if view.age_s is not None and view.age_s > SAMPLE_AGE_MOST_S:
            found.append(Check("sensor " + view.role, WARN, "sensor-old", (view.age_s, _values(sample))))
            continue
        found.append(Check("sensor " + view.role, OK, "sensor-ok", (_values(sample),)))
        if sample.power_w:
            found.append(_transformer(view.role, sample, diagnose.reversed_ct(view.role, sample), generation_w))
        order = diagnose.phase_order(sample)
        if order is not None:
            found.append(Check("phases " + view.role, FAIL, "phases-not", (order,)))
        elif len(sample.voltage_mv) > 1:
            found.append(Check("phases " + view.role, OK, "phases-ok", ()))
    return found


def _transformer(role: str, sample, texts: "list[str]", generation_w: "list[int]") -> Check:
    name = "transformer " + role
    if texts:
        return Check(name, FAIL, "transformer-reversed", ("; ".join(texts),))
    power_w = sum(sample.power_w)
    if role != "grid":
        return Check(name, OK, "transformer-ok", ())
    # export that no roof explains
    if power_w < -DEAD_W and (not generation_w or -power_w > sum(generation_w) + DEAD_W):
        return Check(name, WARN, "transformer-export", (-power_w,))
    return Check(name, OK, "transformer-grid", (power_w,)) if power_w >= 0 else Check(name, OK, "transformer-ok", ())


def _values(sample) -> str:
    parts = ["%d W" % watts for watts in sample.power_w] + ["%d V" % (mv // 1000) for mv in sample.voltage_mv]
    return ", ".join(parts) or "counting"


def clock(keeper) -> Check:
    if not keeper.is_set:
        return Check("clock", FAIL, "clock-not", ())
    if keeper.error_ms is None:
        return Check("clock", OK, "clock-host", ())
    return Check(
        "clock",
        WARN if keeper.doubtful else OK,
        "clock-doubtful" if keeper.doubtful else "clock-ok",
        (keeper.error_ms,),
    )


def wifi(ssid: "str | None", rssi_dbm: "int | None", problem: "str | None") -> Check:
    if ssid is None:
        return Check("wifi", SKIP, "wifi-none", ())
    if rssi_dbm is None:
        return Check("wifi", FAIL, "wifi-lost", (ssid, problem or "no answer"))
    weak = rssi_dbm < RSSI_LEAST_DBM
    return Check("wifi", WARN if weak else OK, "wifi-weak" if weak else "wifi-ok", (ssid, rssi_dbm))


def broker(config, problem: "str | None") -> Check:
    name = "%s:%d" % (config.host, config.port)
    if problem is None:
        return Check("broker", OK, "broker-ok", (name,))
    return Check("broker", FAIL, "broker-not", (name, problem))


def certificate(config, now_s: "int | None") -> Check:
    """Of the meter's own certificate: whom it names, and its dates."""
    if not config.tls:
        return Check("certificate", SKIP, "certificate-none", ())
    import certificate as reader
    import trust

    try:
        trust.context(client=True)
        with open(trust.CERTIFICATE, "rb") as file:
            found = reader.read(file.read())
    except (OSError, ValueError) as error:
        return Check("certificate", FAIL, "certificate-bad", (str(error),))
    name = config.community + "/" + config.meter
    if found.common_name != name:
        return Check("certificate", FAIL, "certificate-name", (found.common_name, name))
    if now_s is not None and now_s < found.begins_s:
        return Check("certificate", FAIL, "certificate-early", (day(found.begins_s),))
    if now_s is not None and now_s > found.ends_s:
        return Check("certificate", FAIL, "certificate-ended", (day(found.ends_s),))
    if now_s is not None and found.ends_s - now_s < CERTIFICATE_LEAST_DAYS * 86_400:
        return Check("certificate", WARN, "certificate-soon", (day(found.ends_s),))
    return Check("certificate", OK, "certificate-ok", (name, day(found.ends_s)))


def memory() -> Check:
    gc.collect()
    free = gc.mem_free()
    low = free < MEMORY_LEAST_BYTES
    return Check("memory", WARN if low else OK, "memory-low" if low else "memory-ok", (free,))


def flash() -> Check:
    found = os.statvfs("/" if os.getcwd() == "/" else ".")
    free_kb = found[0] * found[3] // 1024
    low = free_kb < FLASH_LEAST_KB
    return Check("flash", WARN if low else OK, "flash-low" if low else "flash-ok", (free_kb,))


def outbox(box) -> Check:
    """`box` is None where there is none yet."""
    if box is None:
        return Check("outbox", SKIP, "outbox-none", ())
    if box.dropped:
        return Check("outbox", WARN, "outbox-dropped", (box.dropped, len(box)))
    if len(box) > WAITING_MOST:
        return Check("outbox", WARN, "outbox-long", (len(box),))
    return Check("outbox", OK, "outbox-ok", (len(box),))


def day(epoch_s: int) -> str:
    from clock import EPOCH_SHIFT_S

    return "%04d-%02d-%02d" % time.gmtime(epoch_s - EPOCH_SHIFT_S)[:3]


def of_running(meter) -> "list[Check]":
    """Of a running meter; it waits for nothing. `meter` has config, intervals, clock, radio, link, outbox."""
    config = meter.config
    now_ms = meter.clock.now_ms()
    radio = meter.radio
    problem = None if meter.link.connected else meter.link.last_error or "not connected yet"
    checks = sensors(meter.intervals.views())
    checks.append(clock(meter.clock))
    checks.append(wifi(None if radio is None else radio.ssid, None if radio is None else radio.rssi_dbm(), problem))
    checks.append(broker(config, problem))
    # the clock of the demo is not that of the certificates
    checks.append(certificate(config, None if config.clock == "conductor" or now_ms is None else now_ms // 1000))
    return checks + [memory(), flash(), outbox(meter.outbox)]


def main(load_w: int = 0, wait_s: int = 20) -> None:
    """At the serial prompt, with the firmware stopped: prints one line of JSON.

    With `load_w` somebody switches on a load of that many watts within `wait_s` seconds, and it is looked at whether
    the sensors see it as they must: the only proof of a transformer's direction at the grid.
    """
    import selftest_bench
    import selftest_en

    # the tasks of the meter that was interrupted would go on, and ask the same sensors
    asyncio.new_event_loop()
    meter, checks = asyncio.run(selftest_bench.run(load_w, wait_s))
    report = {"v": 1, "meter": meter, "firmware": VERSION, "checks": rows(checks, selftest_en.SAYS)}
    sys.stdout.write(json.dumps(report) + "\n")
