"""Checksums, floats that become integers, calibration."""

import random
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest


def test_a_float_becomes_the_exact_integer(ask: Callable[..., Any]) -> None:
    draw = random.Random(5)
    bits = [draw.getrandbits(8) << 23 | draw.getrandbits(23) for _ in range(1500)]
    # what meters send: up to a million kWh, and a little of everything else
    bits += [struct.unpack(">I", struct.pack(">f", draw.random() * 10 ** draw.randrange(7)))[0] for _ in range(1500)]
    bits = [one for one in bits if one >> 23 & 0xFF != 0xFF and one >> 23 & 0xFF < 200] + [0, 1, 0x80000000, 0x807FFFFF]
    expected = []
    for one in bits:
        exact = Fraction(struct.unpack(">f", struct.pack(">I", one))[0]) * 1_000_000
        expected.append(int(exact))
    assert ask("call.py", "sensors.ieee754.scaled", [[one, 1_000_000] for one in bits], heap="heapsize=8M") == expected


def test_infinity_is_no_number(ask: Callable[..., Any]) -> None:
    answers = ask("call.py", "sensors.ieee754.scaled", [[0x7F800000, 1], [0xFF800000, 1], [0x7FC00000, 1]])
    assert answers == ["ValueError: not a number"] * 3


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        # the worked examples of Atmel's application note 46103
        ("power_gain", [0, 8622, 7434], 5237),
        ("phase_angle", [1000_00, 1009_50, 2000_00, 50], 36),
        ("gain", [7305, 220_000, 218_500], 7355),
        # 60 Hz; a load that shows too little; another amplification
        ("phase_angle", [1000, 1010, 2000, 60], 31),
        ("phase_angle", [1000, 990, 2000, 50], -38),
        # other power factors: one degree is 113.8 delays of 1/2.048 MHz
        ("phase_angle", [300_000, 316_648, 1_000_000, 50], 114),
        ("phase_angle", [800_000, 810_349, 1_000_000, 50], 112),
        (
            "phase_angle",
            [900, 910, 1000, 50],
            "ValueError: the power factor is not 0.3 to 0.8: with this load an angle does not show",
        ),
        (
            "phase_angle",
            [900, 910, 800, 50],
            "ValueError: the power factor is not 0.3 to 0.8: with this load an angle does not show",
        ),
        ("gain", [32768, 100, 200], 16384),
        ("gain", [32768, 300, 100], "ValueError: a gain of 98304: another transformer or amplification is needed"),
        ("gain", [32768, 100, 0], "ValueError: nothing was measured: is the load on, and the transformer connected?"),
        ("power_gain", [0, 100, -90], "ValueError: the power is not positive: is the transformer the right way round?"),
        (
            "power_gain",
            [0, 300, 100],
            "ValueError: the power is not near the reference: calibrate voltage and current first",
        ),
        (
            "phase_angle",
            [1000, 1100, 2000, 50],
            "ValueError: the power is not near the reference: calibrate the power gain first",
        ),
    ],
)
def test_calibration(ask: Callable[..., Any], function: str, arguments: list[int], expected: object) -> None:
    assert ask("call.py", "sensors.calibration." + function, [arguments]) == [expected]


@pytest.mark.parametrize(
    ("function", "expected"),
    # the check values of the catalogue of CRC algorithms, for "123456789"
    [("arc", 0xBB3D), ("modbus", 0x4B37), ("x25", 0x906E), ("kermit", 0x2189)],
)
def test_checksums(ask: Callable[..., Any], function: str, expected: int) -> None:
    assert ask("call.py", "sensors.crc16." + function, [[[ord(letter) for letter in "123456789"]]]) == [expected]
