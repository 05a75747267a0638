"""The radio, with a stand-in for the ESP32's `network` module: what is joined, tried, gone back to."""

from collections.abc import Callable
from typing import Any


def test_networks_joined_tried_and_gone_back_to(on_device: Callable[..., Any]) -> None:
    cafe = "Caf\u00e9 <1>"
    assert on_device("hardware/join.py") == [
        None,
        None,
        None,
        -55,
        ["127.0.0.1", "255.0.0.0"],
        # the same name heard twice counts once, as well as it is heard best; nameless ones do not count
        [[cafe, -40], ["Home", -50]],
        ["not-found", "the Wi-Fi is not found"],
        "the hub is away",
        "Home",
        None,
        ["connect", "Home", "correct horse"],
        "enrolled",
        cafe,
        None,
        [["station", False], ["station", True]],
        None,
        ["password", "the Wi-Fi does not accept the password"],
        cafe,
        ["not-found", "the Wi-Fi is not found"],
        None,
        ["hostname", "pumasi-" + 25 * "m"],
    ]
