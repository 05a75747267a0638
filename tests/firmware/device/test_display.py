"""The display: dots as an SSD1306 would show them, decoded from what comes over its bus."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.keys import sign
from tests.firmware.device.conftest import KEY

TOPIC = "pumasi/1/rural3/m001/result"
CONFIG = {
    "version": 1,
    "community": "rural3",
    "meter": "m001",
    "kid": 1,
    "key": KEY.hex(),
    "interval_s": 900,
    "broker": {"host": "127.0.0.1", "port": 1883},
    "clock": "conductor",
    "sensors": [{"role": "grid", "driver": "simulated", "profile": "profile.txt"}],
}


def result(bought_wh: int, sold_wh: int, price: str = "0.19000", start: int = 0, key: bytes = KEY) -> list[str]:
    members = {
        "v": 1, "kid": 1, "start": start, "length": 900, "bought_wh": bought_wh, "sold_wh": sold_wh,
        "price_per_kwh": price,
    }  # fmt: skip
    return ["result", sign(key, TOPIC, json.dumps(members, separators=(",", ":")).encode()).decode()]


def price(per_kwh: str, start: int = 0) -> list[str]:
    return ["price", json.dumps({"v": 1, "start": start, "length": 900, "price_per_kwh": per_kwh})]


@pytest.fixture
def draw(on_device: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))

    def run(*steps: Any, height: int = 64) -> list[dict[str, Any]]:
        (tmp_path / "steps.json").write_text(json.dumps(steps))
        pictures: list[dict[str, Any]] = on_device("draw.py", height)
        return pictures

    return run


def test_before_anything_is_known_it_shows_which_meter_this_is(draw: Callable[..., Any]) -> None:
    (picture,) = draw("wait")
    assert picture["on"] is True and (picture["0"], picture["12"]) == ("Pumasi", "m001")


def test_result_and_price_are_shown(draw: Callable[..., Any]) -> None:
    first, second, third = draw(
        price("0.19000"), "wait", result(1234, 0), "wait", result(9_999_999, 56, "-0.01", 900 * 5), "wait"
    )
    assert (first["0"], first["large"], first["34"]) == ("price per kWh", "0.19000", "")
    assert (second["large"], second["34"], second["44"]) == ("0.19000", "bought   1234 Wh", "sold        0 Wh")
    assert (third["large"], third["34"], third["44"]) == ("-0.01", "bought9999999 Wh", "sold       56 Wh")
    # dots age where they always shine: the picture moves with the intervals
    assert (second["at"], third["at"]) == ([0, 0], [1, 1])


def test_a_small_display(draw: Callable[..., Any]) -> None:
    (picture,) = draw(result(1234, 56), "wait", height=32)
    assert (picture["0"], picture["10"], picture["20"]) == ("kWh 0.19000", "bought   1234 Wh", "sold       56 Wh")
    assert picture["below"] is False


@pytest.mark.parametrize(
    "message",
    [
        result(1, 1, key=bytes(32)),
        ["result", json.dumps({"v": 1, "start": 0, "length": 900, "bought_wh": 1, "sold_wh": 1, "price_per_kwh": "1"})],
        ["price", ""],
        ["price", "[]"],
        ["price", '{"start":0,"length":0,"price_per_kwh":"1"}'],
        ["price", '{"start":0,"length":900,"price_per_kwh":1}'],
        ["price", '{"start":"0","length":900,"price_per_kwh":"1"}'],
        ["price", '{"length":900,"price_per_kwh":"1"}'],
    ],
)
def test_what_is_not_authentic_or_not_understood_changes_nothing(draw: Callable[..., Any], message: list[str]) -> None:
    before, after = draw(result(1234, 56), "wait", message, "wait")
    assert before == after and before["34"] == "bought   1234 Wh"


def test_a_display_that_is_unplugged_for_a_while(draw: Callable[..., Any]) -> None:
    _, without, again = draw("unplug", result(1, 2), "wait", result(3, 4), "wait", "plug", result(5, 6), "wait")
    assert without["on"] is False
    assert again["on"] is True and (again["34"], again["44"]) == ("bought      5 Wh", "sold        6 Wh")
