"""What to write into the ATM90E32 so that it shows what a reference instrument shows. Integers only.

Source: Atmel 46103 "M90E32AS Application Note" (its worked examples are the tests): gains of voltage and current in
proportion; power gain in 1/32768 at a resistive load; phase angle at a load of power factor 0.5 inductive.
"""

GAIN_MOST = 65535
# delays that the phase angle register holds
ANGLE_MOST = 255
# 1,000 times the note's G_phase
_PHASE_50_HZ = 3_763_739
_PHASE_60_HZ = 3_136_449


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


def phase_angle(reference_w: int, measured_w: int, frequency_hz: int) -> int:
    """For a load of power factor 0.5 inductive, measured with an angle of 0. Raises ValueError."""
    if measured_w <= 0 or reference_w <= 0:
        raise ValueError("the power is not positive: is the transformer the right way round?")
    factor = _PHASE_60_HZ if frequency_hz == 60 else _PHASE_50_HZ
    wanted = _round((measured_w - reference_w) * factor, 1000 * reference_w)
    if abs(wanted) > ANGLE_MOST:
        raise ValueError("the power is not near the reference: calibrate the power gain first")
    return wanted


def _round(number: int, divisor: int) -> int:
    return (2 * number + divisor) // (2 * divisor)
