"""The disciplined clock, in a simulated world and with time servers on loopback."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

Answering = Callable[[bytes, int], list[bytes]]
NOW_MS = 1_800_000_000_123


@pytest.mark.parametrize("ppm", [35, -40, 0])
def test_drift_is_tracked_and_held_over_through_a_month_with_ticks_that_wrap(
    on_device: Callable[..., Any], ppm: int
) -> None:
    found = on_device("keep_time.py", "drift", ppm)
    # answers scatter by 20 ms, one of them twice as far on the way back
    assert found["settled"]["worst_ms"] < 150
    # a crystal that runs fast is corrected downwards
    assert abs(found["drift_ppb"] + 1000 * ppm) < 1000
    assert found["error_ms"] < 100
    # 26 days offline
    assert found["holdover"]["worst_ms"] < 2000
    assert found["settled"]["breach_ms"] == 0 and found["holdover"]["breach_ms"] == 0
    assert found["doubtful"] and found["holdover_error_ms"] < 26 * 86400 * 1000 // 90_000
    assert found["again_off_ms"] < 2000


def test_before_the_first_sync_there_is_no_time_and_two_answers_must_agree(on_device: Callable[..., Any]) -> None:
    found = on_device("keep_time.py", "first")
    assert found["called"] == [[0, 1000]] * 3
    assert found["steps"] == [False, False, False, True]
    assert found["unset"] is False and found["set"] is True
    assert found["refused"] == 1
    assert found["off_ms"] == 0
    assert found["seconds"] == [0, 1, 2] and found["begins_ms"] == 0


def test_a_time_years_ahead_does_not_stop_the_meter_for_years(on_device: Callable[..., Any]) -> None:
    found = on_device("keep_time.py", "astray")
    assert 24 <= found["hours"] <= 30 and found["off_ms"] < 500
    assert found["stands"] is True


def test_a_server_that_never_answers_does_not_keep_the_meter_timeless(on_device: Callable[..., Any]) -> None:
    assert on_device("keep_time.py", "dead") == [[2, True], [1, True]]


def test_one_liar_is_not_followed_and_a_small_offset_is_worked_off(on_device: Callable[..., Any]) -> None:
    assert on_device("keep_time.py", "jump") == {
        "followed": False,
        "off_ms": 0,
        "at_once_ms": 0,
        "half_ms": 200,
        "at_last_ms": 400,
    }


def test_time_never_goes_back_over_a_closed_interval(on_device: Callable[..., Any]) -> None:
    found = on_device("keep_time.py", "back")
    assert found["stands_s"] == [0, 0, 0]
    assert found["doubtful"] and found["error_covers"]
    assert found["still_ms"] == 0
    assert found["goes_on_ms"] == 990 and not found["at_last"]


def test_servers_are_asked_seldom(on_device: Callable[..., Any]) -> None:
    found = on_device("keep_time.py", "asks")
    assert 40 < found["online"] < 70
    assert 200 < found["offline"] < 300


@pytest.mark.parametrize(("year", "shift_s"), [(1970, 0), (2000, 946_684_800)])
def test_a_board_is_told_the_time_from_its_own_epoch(on_device: Callable[..., Any], year: int, shift_s: int) -> None:
    found = on_device("set_rtc.py", year, 1_800_000_300)
    assert found["shift_s"] == shift_s
    # Friday, 15 January 2027, 08:05:00
    assert found["parts"] == [2027, 1, 15, 4, 8, 5, 0, 0]


def packet(
    cookie: bytes,
    came_ms: int = NOW_MS,
    left_ms: int = NOW_MS,
    leap: int = 0,
    mode: int = 4,
    stratum: int = 2,
    delay_ms: int = 20,
    dispersion_ms: int = 10,
) -> bytes:
    def stamp(at_ms: int) -> bytes:
        seconds, part_ms = divmod(at_ms, 1000)
        return struct.pack(">II", (seconds + 2_208_988_800) % 2**32, (part_ms * 2**32 + 999) // 1000)

    head = struct.pack(">BBBbII4s", leap << 6 | 4 << 3 | mode, stratum, 6, -20, delay_ms * 65536 // 1000,
                       dispersion_ms * 65536 // 1000, b"RATE")  # fmt: skip
    return head + stamp(came_ms) + cookie + stamp(came_ms) + stamp(left_ms)


@contextmanager
def time_server(answers: Answering) -> Iterator[int]:
    """The port of a server on loopback; `answers` makes its answers to a request."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as serving:
        serving.bind(("127.0.0.1", 0))
        serving.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    request, address = serving.recvfrom(100)
                except TimeoutError:
                    continue
                assert len(request) == 48 and request[0] & 7 == 3
                # nothing in a question tells what the meter thinks of the time
                assert request[1:40] == bytes(39)
                for answer in answers(request[40:48], len(request)):
                    serving.sendto(answer, address)

        thread = threading.Thread(target=serve)
        thread.start()
        yield serving.getsockname()[1]
        over.set()
        thread.join()


def test_a_servers_answer_is_taken_for_what_it_is_worth(on_device: Callable[..., Any]) -> None:
    def answers(cookie: bytes, _: int) -> list[bytes]:
        time.sleep(0.1)
        # somebody else's answer comes first, and one that was cut short
        return [packet(b"\0" * 8, stratum=1), packet(cookie)[:20], packet(cookie, came_ms=NOW_MS - 60)]

    with time_server(answers) as port:
        found = on_device("ask_time.py", port, 3000)
    assert 40 <= found["round_trip_ms"] < 1000
    assert abs(found["epoch_ms"] - (NOW_MS + found["round_trip_ms"] // 2)) <= 1
    assert found["age_ms"] < 100


@pytest.mark.parametrize(
    "when_ms",
    [
        pytest.param(2_085_978_496_000 - 1, id="the last second of the first era"),
        pytest.param(2_085_978_496_000 + 5_500, id="the counter has wrapped, 2036"),
        pytest.param(3_092_601_599_000, id="the last second of 2067"),
    ],
)
def test_the_wrap_of_2036_is_passed(on_device: Callable[..., Any], when_ms: int) -> None:
    with time_server(lambda cookie, _: [packet(cookie, when_ms, when_ms)]) as port:
        found = on_device("ask_time.py", port, 3000)
    assert abs(found["epoch_ms"] - when_ms) <= found["round_trip_ms"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"leap": 3}, "the server does not know the time itself"),
        ({"stratum": 16}, "the server does not know the time itself"),
        ({"stratum": 0}, "told to go away: b'RATE'"),
        ({"mode": 3}, "not an answer"),
        ({"mode": 5}, "not an answer"),
        ({"delay_ms": 4000}, "the server is too far from its source"),
        ({"dispersion_ms": 1500}, "the server is too far from its source"),
        ({"left_ms": NOW_MS - 1000}, "the server's times contradict each other"),
        ({"left_ms": NOW_MS + 60_000}, "the server's times contradict each other"),
        ({"came_ms": 1_700_000_000_000, "left_ms": 1_700_000_000_000}, "the year is wrong"),
        # what is left of an ESP32's calendar after it is 18 days
        ({"came_ms": 3_092_601_600_000, "left_ms": 3_092_601_600_000}, "the year is wrong"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(
    on_device: Callable[..., Any], settings: dict[str, int], reason: str
) -> None:
    with time_server(lambda cookie, _: [packet(cookie, **settings)]) as port:
        assert on_device("ask_time.py", port, 3000)["error"] == "NtpError: " + reason


def test_silence_has_an_end(on_device: Callable[..., Any]) -> None:
    with time_server(lambda cookie, _: [packet(bytes(8))]) as port:
        found = on_device("ask_time.py", port, 300)
    assert found["error"].startswith("OSError") and "ETIMEDOUT" in found["error"]
    assert 300 <= found["waited_ms"] < 3000


def test_a_meter_by_its_own_clock_makes_readings_once_it_has_been_told_the_time(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    asked = 0
    ahead_s = 10 * 86_400

    def answers(cookie: bytes, _: int) -> list[bytes]:
        nonlocal asked
        asked += 1
        if asked <= 1:
            return []
        now_ms = time.time_ns() // 1_000_000 + 1000 * ahead_s
        return [packet(cookie, now_ms, now_ms)]

    with time_server(answers) as port:
        meter = make_meter(broker.port, [(400, 0)], clock="ntp", ntp=[f"127.0.0.1:{port}"], interval_s=2, status_s=1)
        meter.start()
        wait(lambda: bool(market.statuses), what="a status without the time")
        assert market.statuses[0]["clock_error_ms"] is None and market.first_heard == {}
        wait(lambda: len(market.first_heard) >= 3, 30, what="three intervals")
        now_s = int(time.time()) + ahead_s
        meter.cut_power()
    # one silence, then two answers that agreed
    assert asked == 3
    starts = [market.first_heard[seq]["start"] for seq in range(3)]
    assert starts == [starts[0], starts[0] + 2, starts[0] + 4] and starts[0] % 2 == 0
    assert now_s - 30 < starts[0] <= now_s
    # the last word may be the will
    online = [status for status in market.statuses if status["online"]]
    assert 0 <= online[-1]["clock_error_ms"] < 1000
