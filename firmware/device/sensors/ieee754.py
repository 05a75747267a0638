"""A float of 32 bits, as meters send it, becomes an integer without ever being a float."""


def scaled(bits: int, scale: int) -> int:
    """The number times `scale`, rounded down towards zero. Raises ValueError for infinity and not-a-number."""
    exponent = bits >> 23 & 0xFF
    fraction = bits & 0x7FFFFF
    if exponent == 0xFF:
        raise ValueError("not a number")
    if exponent:
        fraction |= 0x800000
    else:
        # without the hidden bit: smaller than anything that is metered, but right
        exponent = 1
    shift = exponent - 150
    magnitude = fraction * scale << shift if shift >= 0 else fraction * scale >> -shift
    return -magnitude if bits >> 31 else magnitude
