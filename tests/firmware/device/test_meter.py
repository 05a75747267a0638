import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

START = 1_468_180_800
DRAW = random.Random(1)
WATTS = [(DRAW.randrange(3000), DRAW.choice((0, DRAW.randrange(6000)))) for _ in range(96)]


def registers_wh(interval: int) -> dict[str, int]:
    """What the registers must show after `interval` was closed: sums of the profile, whole Wh."""
    steps = [WATTS[step % len(WATTS)] for step in range(interval + 1)]
    quarters = {
        "import_wh": sum(max(0, load - generation) for load, generation in steps),
        "export_wh": sum(max(0, generation - load) for load, generation in steps),
        "generation_wh": sum(generation for _, generation in steps),
        "consumption_wh": sum(load for load, _ in steps),
    }
    return {name: watts * 250 // 1000 for name, watts in quarters.items()}


def assert_complete(market: Any, intervals: int) -> None:
    """Every interval came, once or more and always the same, and no energy is missing."""
    assert sorted(market.first_heard) == list(range(intervals))
    assert market.different == 0
    for seq, reading in market.first_heard.items():
        assert (reading["start"], reading["length"]) == (START + 900 * seq, 900)
        assert {name: reading[name] for name in registers_wh(seq)} == registers_wh(seq)
        assert reading["flags"] == ["simulated"]


def wait_heard(wait_until: Callable[..., None], market: Any, intervals: int) -> None:
    wait_until(lambda: len(market.first_heard) >= intervals, what=f"{intervals} readings")


def test_a_day_in_lock_step_with_a_power_cut_in_the_middle(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    meter = make_meter(broker.port, WATTS)
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    for interval in range(96):
        if interval == 40:
            meter.cut_power()
            meter.start()
        meter.tick(interval + 1)
        meter.wait_closed(interval)
        wait_heard(wait, market, interval + 1)
    assert_complete(market, 96)
    assert len(market.next) == 1 and market.forged == 0
    # sent twice only where acks were slower than two of these hurried ticks, and around the power cut
    assert len(market.heard) <= 96 + 16
    first = market.statuses[0]
    assert (first["online"], first["rssi"], first["outbox"], first["dropped"]) == (True, None, 0, 0)


def test_a_power_cut_at_any_moment(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    meter = make_meter(broker.port, WATTS)
    meter.start()
    meter.tick(0)
    meter.tick(1)
    meter.wait_closed(0)
    draw = random.Random(3)
    now = 1
    for _ in range(30):
        for _ in range(draw.randrange(1, 5)):
            now += 1
            meter.tick(now)
        time.sleep(draw.random() * 0.06)
        meter.cut_power()
        meter.start()
        # with the power the clock comes back, and what ended meanwhile is closed
        meter.tick(now)
    meter.tick(now)
    wait_heard(wait, market, now)
    assert_complete(market, now)
    assert len(market.next) == 1


def test_a_power_cut_before_the_first_interval_has_closed(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    meter = make_meter(broker.port, WATTS)
    meter.start()
    meter.tick(0)
    wait((meter.flash / "outbox" / "metering.a").exists, what="the state")
    time.sleep(0.1)
    meter.cut_power()
    meter.start()
    meter.tick(2)
    wait_heard(wait, market, 2)
    assert_complete(market, 2)


def test_readings_wait_for_a_broker_that_comes_late_and_goes_again(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    market.close()
    broker.kill()
    meter = make_meter(broker.port, WATTS)
    meter.start()
    for now in range(31):
        meter.tick(now)
    meter.wait_closed(29)
    assert meter.closed() == [START + 900 * interval for interval in range(30)]
    assert not [event for event in meter.events if event["event"] == "ready"]
    broker.start()
    second = type(market)(broker.port)
    wait_heard(wait, second, 30)
    meter.wait_ready()
    broker.kill()
    for now in range(31, 61):
        meter.tick(now)
    meter.wait_closed(59)
    broker.start()
    # what is sent before the market is back finds no subscriber; silent ticks then send it again
    now = 60
    while len(second.first_heard) < 60 and now < 100:
        now += 1
        meter.tick(now)
        time.sleep(0.3)
    wait_heard(wait, second, now)
    assert_complete(second, now)
    wait(lambda: second.statuses[-1].get("online") is True, what="online")
    assert len([event for event in meter.events if event["event"] == "ready"]) == 1
    second.close()


def test_only_sixteen_are_in_flight_and_two_silent_ticks_send_again(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    market.acknowledging = False
    meter = make_meter(broker.port, WATTS)
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    meter.tick(20)
    meter.wait_closed(19)
    wait_heard(wait, market, 16)
    time.sleep(0.3)
    assert market.heard == list(range(16))
    meter.tick(21)
    meter.wait_closed(20)
    time.sleep(0.2)
    assert market.heard == list(range(16))
    meter.tick(22)
    wait(lambda: len(market.heard) >= 32, what="the second sending")
    time.sleep(0.2)
    assert market.heard == 2 * list(range(16))
    market.acknowledge()
    wait_heard(wait, market, 22)
    assert_complete(market, 22)


def test_ten_seconds_of_silence_send_again_without_any_tick(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    market.acknowledging = False
    meter = make_meter(broker.port, WATTS)
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    meter.tick(2)
    wait_heard(wait, market, 2)
    began = time.monotonic()
    wait(lambda: market.heard == [0, 1, 0, 1], what="the second sending")
    assert 9 < time.monotonic() - began < 12


def test_nothing_is_given_up_for_a_forged_or_foreign_ack(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    market.acknowledging = False
    meter = make_meter(broker.port, WATTS)
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    meter.tick(4)
    wait_heard(wait, market, 4)
    outbox = next(iter(market.next))
    good = '{"v":1,"kid":1,"outbox":"' + outbox + '","next":4'
    for ack in (b"", b"{}", b"\xff" * 40, good.encode() + b"}", good.encode() + b',"mac":"' + b"0" * 64 + b'"}'):
        market.publish("pumasi/1/rural3/m001/ack", ack)
    market.publish_ack(outbox, 4, key=bytes(32))
    market.publish_ack("0123456789abcdef", 4)
    market.publish_ack(outbox, 4, kid=2)
    market.publish_ack(outbox, -1)
    # the last of them is retained and comes again with the next connection
    market.publish_ack(outbox, 500)
    wait(lambda: " 8 so far" in meter.diagnostics(), what="eight refusals")
    time.sleep(0.3)
    meter.tick(5)
    wait(lambda: market.heard == [0, 1, 2, 3, 4], what="the next")
    meter.tick(6)
    wait(lambda: market.heard == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5], what="everything again, on the second silent tick")
    meter.cut_power()
    market.heard.clear()
    meter.start()
    wait(lambda: market.heard == [0, 1, 2, 3, 4, 5], what="everything again")
    market.acknowledge()
    # heard by now: silence no longer sends anything again
    wait(lambda: len(market.statuses) >= 3, what="online")
    time.sleep(0.3)
    market.heard.clear()
    for now in (7, 8, 9):
        meter.tick(now)
        wait_heard(wait, market, now)
    assert_complete(market, 9)
    assert market.heard == [6, 7, 8]


def test_a_market_restored_from_a_backup_is_given_again_what_is_held(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    meter = make_meter(broker.port, WATTS)
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    meter.tick(10)
    wait_heard(wait, market, 10)
    outbox = next(iter(market.next))
    wait(lambda: market.next[outbox] == 10, what="all acknowledged")
    time.sleep(0.2)
    market.first_heard.clear()
    market.heard.clear()
    market.next[outbox] = 0
    for seq in range(6):
        market.first_heard[seq] = {}
    market.publish_ack(outbox, 6)
    wait(lambda: market.heard == [6, 7, 8, 9], what="the last four again")


def test_spoiled_flash_is_stepped_over_and_said_in_first(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    market.acknowledging = False
    meter = make_meter(broker.port, WATTS, status_s=1)
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    meter.tick(6)
    wait_heard(wait, market, 6)
    meter.cut_power()
    segment = meter.flash / "outbox" / "00000000.seg"
    content = bytearray(segment.read_bytes())
    content[3 * 64 + 40] ^= 1
    segment.write_bytes(content)
    market.first_heard.clear()
    market.heard.clear()
    market.next.clear()
    meter.start()
    meter.tick(7)
    wait_heard(wait, market, 3)
    time.sleep(0.3)
    # `first` may step over it only when what lies before it is safe
    assert market.heard == [0, 1, 2]
    market.acknowledge()
    wait(lambda: sorted(market.first_heard) == [0, 1, 2, 4, 5, 6], what="all but the spoiled one")
    assert market.first_heard[4]["first"] == 4
    assert next(iter(market.next.values())) == 7
    wait(lambda: market.statuses[-1].get("dropped") == 1, what="a status that says so")


@pytest.mark.parametrize("ending", ["stop", "end of input", "SIGTERM"])
def test_ends_within_a_second(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None], ending: str
) -> None:
    meter = make_meter(broker.port, WATTS)
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    if ending == "stop":
        meter.write("stop\n")
    elif ending == "end of input":
        meter.process.stdin.close()
    status = meter.end(signal.SIGTERM if ending == "SIGTERM" else None)
    assert status == (-signal.SIGTERM if ending == "SIGTERM" else 0)
    wait(lambda: market.statuses[-1:] == [{"v": 1, "online": False}], what="the last will")


def test_noise_on_standard_input_is_passed_over(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    meter = make_meter(broker.port, WATTS)
    meter.start()
    meter.write("hello\n\ntick\ntick soon\ntick -5\n" + "x" * 5000 + "\n")
    meter.tick(2)
    # time does not go back, and a tick in two pieces is one tick
    meter.tick(1)
    meter.write("tick " + str(START + 2700)[:4])
    time.sleep(0.2)
    meter.write(str(START + 2700)[4:] + "\n")
    wait_heard(wait, market, 1)
    # What it says on its own standard output may come later than what the broker passes on.
    wait(lambda: meter.closed() == [START + 1800], what="the interval closed")
    wait(lambda: f"tick {START + 900} is before {START + 1800}" in meter.diagnostics(), what="the complaint")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"meter": "M 1"}, "meter: not 1 to 32"),
        ({"key": "00"}, "key: not 64"),
        ({"kid": True}, "kid: not an integer"),
        ({"interval_s": 0}, "interval_s: not an integer"),
        ({"clock": "sundial"}, "clock: neither"),
        ({"broker": None}, "broker: missing"),
        ({"sensors": [{"role": "grid", "driver": "crystal ball"}]}, "sensors[0].driver: not one of"),
    ],
)
def test_a_bad_configuration_is_one_line(
    make_meter: Callable[..., Any], settings: dict[str, object], complaint: str
) -> None:
    meter = make_meter(1, WATTS, **settings)
    meter.start()
    assert meter.end() == 2
    assert meter.diagnostics().startswith("configuration: " + complaint)
    assert meter.diagnostics().count("\n") == 1
