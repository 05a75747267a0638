from collections.abc import Callable
from typing import Any


def test_a_power_cut_at_any_byte_loses_nothing_that_was_recorded(on_device: Callable[..., Any]) -> None:
    answer = on_device("cut_files.py", heap="heapsize=8M")
    assert answer["cuts"] > 7 * 64
    assert answer["spoiled"] == 6 * 64


def test_a_power_cut_at_any_flash_operation_of_littlefs(on_device: Callable[..., Any]) -> None:
    assert on_device("cut_flash.py", heap="heapsize=8M")["cuts"] > 50


def test_thirty_days_fit_and_then_the_oldest_go_counted(on_device: Callable[..., Any]) -> None:
    answer = on_device("bounds.py", heap="heapsize=8M")
    assert answer["capacity"] >= 30 * 96
    assert answer["dropped"] == 127
    assert answer["flash_bytes"] <= 208 * 1024
    assert answer["full_flash_held"] > 32
    # ten years of it are no more than a fiftieth of what 512 blocks bear
    assert answer["erased_a_day"] * 3653 < 512 * 100_000 // 50
