"""What a sensor's values say about its wiring."""

# below this, noise and standing capacitance have either sign
_DEAD_W = 25


def reversed_ct(role: str, sample) -> "list[str]":
    """One line for each current transformer that is the wrong way round; nothing where all seems well.

    A load never gives power back and a generator takes next to none: negative power is proof there. At the grid it may
    be export, and `load_answers` tells.
    """
    if role == "grid":
        return []
    words = {"load": "a load cannot give power back", "generation": "a generator cannot take that much"}
    return [
        "phase %d shows %d W and %s: turn its current transformer round" % (phase + 1, power_w, words[role])
        for phase, power_w in enumerate(sample.power_w)
        if power_w < -_DEAD_W
    ]


def phase_order(sample) -> "str | None":
    if "phase-loss" in sample.flags:
        return "a phase has no voltage"
    if "phase-order" in sample.flags:
        return "the phases do not come in the order L1, L2, L3: a voltage is not at the transformer of its own phase"
    return None


def load_answers(before, after, role: str, load_w: int) -> "str | None":
    """Whether a load of `load_w` that was switched on between two samples appears as it must; None where it does.

    At the grid and at a load sensor the power of one phase must rise by about `load_w`, whatever a roof gives.
    """
    if role == "generation":
        return None
    steps_w = [after.power_w[phase] - then for phase, then in enumerate(before.power_w)]
    least_w = load_w // 2
    if sum(steps_w) >= least_w:
        return None
    for phase, step_w in enumerate(steps_w):
        if step_w <= -least_w:
            return "phase %d fell by %d W when the load came on: turn its current transformer round" % (
                phase + 1,
                -step_w,
            )
    return "the load of %d W is not seen: the sum of all phases changed by %d W" % (load_w, sum(steps_w))
