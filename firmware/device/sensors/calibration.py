"""What to write into the ATM90E32 so that it shows what a reference instrument shows. Integers only.

Source: Atmel 46103 "M90E32AS Application Note" (its worked examples are the tests): gains of voltage and current in
proportion; power gain in 1/32768 at a resistive load; phase angle at an inductive load, there of power factor 0.5.
"""

GAIN_MOST = 65535
# delays that the phase angle register holds
ANGLE_MOST = 255
# in thousandths: outside of these the angle hardly moves the power, or the power is small
FACTOR_LEAST, FACTOR_MOST = 300, 800
# 1,000 times the note's G_phase, 3763.739 and 3136.449, times the tangent of 60 degrees: delays in one radian
_UNITS_50_HZ = 6_518_986
_UNITS_60_HZ = 5_432_489


def gain(present: int, reference: int, measured: int) -> int:
    """The gain with which `measured` would have been `reference` (any unit). Raises ValueError."""
    if measured <= 0 or reference <= 0:
        raise ValueError("nothing was measured: is the load on, and the transformer connected?")
    wanted = _round(present * reference, measured)
    if not 1 <= wanted <= GAIN_MOST:
        raise ValueError("a gain of %d: another transformer or amplification is needed" % wanted)
    return wanted


def power_gain(present: int, reference_w: int, measured_w: int) -> int:
    """For a load of power factor 1, after voltage and current. Signed, in 1/32768. Raises ValueError."""
    if measured_w <= 0 or reference_w <= 0:
        raise ValueError("the power is not positive: is the transformer the right way round?")
    wanted = _round((32768 + present) * reference_w, measured_w) - 32768
    if not -32768 <= wanted <= 32767:
        raise ValueError("the power is not near the reference: calibrate voltage and current first")
    return wanted


def phase_angle(reference: int, measured: int, apparent: int, frequency_hz: int) -> int:
    """For an inductive load whose power is `reference` of `apparent` (any unit), measured with an angle of 0.

    The note's own case is a power factor of 0.5: apparent = 2 * reference. Raises ValueError.
    """
    if measured <= 0 or reference <= 0:
        raise ValueError("the power is not positive: is the transformer the right way round?")
    factor = 1000 * reference // apparent if apparent > 0 else 0
    if not FACTOR_LEAST <= factor <= FACTOR_MOST:
        raise ValueError("the power factor is not 0.3 to 0.8: with this load an angle does not show")
    reactive = _root(apparent * apparent - reference * reference)
    wanted = _round((measured - reference) * (_UNITS_60_HZ if frequency_hz == 60 else _UNITS_50_HZ), 1000 * reactive)
    if abs(wanted) > ANGLE_MOST:
        raise ValueError("the power is not near the reference: calibrate the power gain first")
    return wanted


def _root(square: int) -> int:
    """The whole root; Newton, from above."""
    root = 1
    while root * root < square:
        root *= 2
    while root * root > square:
        root = (root + square // root) // 2
    return root


def _round(number: int, divisor: int) -> int:
    return (2 * number + divisor) // (2 * divisor)
