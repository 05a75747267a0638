"""Brings a plan's faults upon a running fleet, and counts what it has done."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

from broker.run import RunningBroker
from firmware.host.faults import Faults, Plan, clock_error_s
from firmware.host.proxy import FORGERIES, Forgery, Proxy
from firmware.host.stranger import refused

POWER_CUT_WITHIN_S = 1.0
"""A power cut comes at a moment drawn from so long after an interval's end."""
LAST_SECOND = 86_399

PROXY_COUNTS = {
    "packets": "packets passed by the proxy",
    "lost": "packets lost",
    "gone": "of these never sent again",
    "stalled": "connections stalled",
    "cut": "connections cut",
    "forged": "readings forged on the way",
    "replayed": "readings replayed",
    "foreign": "readings on another meter's topic",
}
"""What the proxy counts, in the words of a report."""


class Injector:
    """Faults for a fleet that reaches its broker at ``address``, through ``proxy`` if there is one.

    ``broker`` is the broker's process where that may be killed, and ``cut_power`` cuts the power of the meter named.
    """

    def __init__(
        self,
        faults: Faults,
        plan: Plan,
        address: tuple[str, int],
        proxy: Proxy | None,
        broker: RunningBroker | None,
        cut_power: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self._faults, self._plan, self._address = faults, plan, address
        self._proxy, self._broker, self._cut_power, self._say = proxy, broker, cut_power, say
        self._chance = random.Random(faults.seed + 1)
        self._counts: Counter[str] = Counter()
        self._timers: list[threading.Timer] = []
        self._forgeries = 0
        self._back_at = 0
        """the step at whose beginning the broker is back; 0 while it is not away"""
        self._killed = False
        if plan.reversed_ct:
            self._counts["meters with a reversed transformer"] = len(plan.reversed_ct)
        if plan.drift_ppm:
            self._counts["clocks that drift"] = len(plan.drift_ppm)
            worst = max(abs(clock_error_s(ppm, LAST_SECOND)) for ppm in plan.drift_ppm.values())
            self._counts["largest clock error of a day [s]"] = worst

    @property
    def broker_is_killed(self) -> bool:
        return self._killed

    def befall(self, step: int) -> None:
        """Everything the plan has for this step, which is about to begin."""
        if self._back_at == step:
            self._bring_back()
        if step in self._plan.outages:
            self._take_away(self._plan.outages[step])
            self._back_at = step + self._plan.outages[step]
        for meter in self._plan.power_cuts.get(step, ()):
            self._counts["power cuts"] += 1
            timer = threading.Timer(self._chance.random() * POWER_CUT_WITHIN_S, self._cut_power, [meter])
            timer.start()
            self._timers.append(timer)
        for _ in range(self._faults.forgers):
            self._forge()

    def calm(self) -> None:
        """No outage any more, and no power cut that is still to come."""
        for timer in self._timers:
            timer.join()
        if self._back_at:
            self._bring_back()

    def counts(self) -> dict[str, int]:
        passed = {} if self._proxy is None else self._proxy.counts
        seen = {text: passed[name] for name, text in PROXY_COUNTS.items() if passed.get(name)}
        return dict(self._counts) | seen

    def _take_away(self, intervals: int) -> None:
        assert self._proxy is not None
        self._killed = self._broker is not None and self._chance.random() < 0.5
        if self._killed:
            assert self._broker is not None and self._broker.process is not None
            self._broker.process.kill()
            self._broker.process.wait()
        else:
            self._proxy.away(True)
        what = "the broker is killed" if self._killed else "the meters cannot reach the broker"
        self._counts[f"outages: {what}"] += 1
        self._say(f"  {what}, for {intervals} intervals")

    def _bring_back(self) -> None:
        assert self._proxy is not None
        if self._killed:
            assert self._broker is not None
            self._broker.restart()
        self._proxy.away(False)
        self._back_at, self._killed = 0, False

    def _forge(self) -> None:
        kinds: tuple[Forgery | None, ...] = (*FORGERIES, None)
        kind = kinds[self._forgeries % len(kinds)]
        self._forgeries += 1
        if kind is not None:
            assert self._proxy is not None
            self._proxy.forge([kind])
        elif not self._back_at:
            name = "strangers the broker refused" if refused(*self._address) else "STRANGERS LET IN"
            self._counts[name] += 1
