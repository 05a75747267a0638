"""The market service: one loop that stores messages, closes gates at clock ticks and says what came out."""

from __future__ import annotations

import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar

import msgspec

from broker.contract import Price, Result, community_topic, topic
from broker.keys import master_key, sign
from market.clearing.lp import SolverError
from market.clearing.problem import ProblemError
from market.record import Gate, Record, RecordFullError
from market.series import Series
from market.service.chain import Chain
from market.service.clock import conductor_clock, system_clock
from market.service.configs import Configs
from market.service.estimates import Estimates
from market.service.gates import Closed, Gates
from market.service.inbox import Inbox
from market.service.ingest import Ingest, Message
from market.service.link import Link, Received
from market.service.month_closing import MonthClosing
from market.service.projection import Projection
from market.settlement.interval import SettlementError
from market.units import decimal_text

QUEUE_BOUND = 20_000
BATCH_BOUND = 2_000
IDLE_S, LATE_BOUND_S = 0.2, 5.0
"""Late data is run again when nothing has come for the first, so that a burst is one revision, or after the second."""
MASTER_KEY_FILE = "master.key"
FULL_RETRY_S = 1.0

T = TypeVar("T")


@dataclass(frozen=True)
class Tick:
    """The clock stands at ``now`` [epoch s]."""

    now: int


@dataclass(frozen=True)
class Connected:
    """The broker has let us in."""


Event = Tick | Connected | Received


class Market:
    """One community's market over its record, of which it is the only one that settles.

    ``directory`` is the store. ``say`` is given what happened, as plain dictionaries.
    """

    def __init__(
        self,
        record: Record,
        directory: Path,
        series: Series,
        series_name: str,
        *,
        host: str,
        port: int,
        password: str | None,
        tls: ssl.SSLContext | None = None,
        grace_s: float,
        begin_at: int,
        say: Callable[[dict[str, Any]], None],
    ) -> None:
        self._record = record
        self._inputs_version = record.inputs_version()
        self._say = say
        self._chain = Chain(self._record, directory)
        self._gates = Gates(self._record, grace_s, begin_at, self._chain)
        self._ingest = Ingest(self._record, master_key(directory / MASTER_KEY_FILE))
        self._estimates = Estimates(self._record)
        self._months = MonthClosing(directory, self._notice)
        self._corrections = 0
        self._configs = Configs(directory, self._gates.rules.community, self._ingest.keys, self._notice)
        self._events: Inbox[Event] = Inbox(QUEUE_BOUND)
        self._online: set[str] = set()
        self._price: Price | None = None
        # What came while no market ran is looked at once, at the beginning.
        self._late_since: float | None = time.monotonic()
        self._reruns: Iterator[Closed] = iter(())
        self._rerunning = False
        self._stuck = False
        self._stop_asked = False
        self._projection = Projection(directory, series, series_name, self._notice)
        self._link = Link(
            self._gates.rules.community,
            host,
            port,
            password,
            tls,
            deliver=self._deliver,
            connected=lambda: self._deliver([Connected()]),
            notice=self._notice,
        )

    def _notice(self, text: str) -> None:
        self._say({"event": "notice", "text": text})

    @property
    def public_key(self) -> str:
        """By which the heads of the chain are signed."""
        return self._chain.public_key

    def tick(self, now: int) -> None:
        self._deliver([Tick(now)])

    def _deliver(self, events: Sequence[Event]) -> None:
        """Hand events to the loop; a full queue holds back who delivers, but not the end."""
        while not self._stop_asked and not self._events.put(events, 0.5):
            pass

    def stop(self) -> None:
        """Ask for the end. Only sets a flag: a signal handler may come while the queue is locked."""
        self._stop_asked = True

    def run(self) -> None:
        """Until ``stop``: then the series is written as far as it can be.

        What has come and is not stored yet was not acknowledged either: it comes again.
        """
        self._chain.catch_up(self._notice)
        self._projection.start()
        self._projection.wake()
        last = self._record.last_gate()
        if last is not None:
            result = msgspec.json.decode(self._record.result(last.number))
            self._price = Price(1, last.start, last.length, decimal_text(result["price_ticks"]))
            self._announce(last, result)
        try:
            while not self._stop_asked:
                self._turn()
        finally:
            self._stop_asked = True
            self._link.stop()
            self._months.stop(1.0)
            self._projection.stop(1.0)

    def _turn(self) -> None:
        """Take what has come, store it, and close or run again one interval, so that no backlog stops ingest."""
        received: list[Received] = []
        events = self._next_events()
        for event in events:
            if isinstance(event, Received):
                received.append(event)
            elif isinstance(event, Connected):
                self._connected()
            else:
                self._store(received)
                received = []
                if not self._gates.now:
                    # Not before: without a clock every reading would look as if it came early.
                    self._link.start()
                self._learn()
                if self._configs.changed():
                    self._configure()
                self._gates.tick(event.now, time.monotonic())
                self._when_there_is_room(partial(self._ingest.store_statuses, self._gates.now))
                self._correct()
                self._months.look(self._gates.now)
        self._store(received)
        try:
            self._close_one(bool(events))
        except (ProblemError, SettlementError, SolverError) as error:
            self._stuck = True
            text = f"an interval cannot be settled, nothing of it is booked and no later gate closes: {error}"
            self._say({"event": "notice", "text": f"{text}; readings are stored as before"})

    def _learn(self) -> None:
        """Look for inputs that another process has stored."""
        newest = self._record.inputs_version()
        if newest != self._inputs_version:
            self._inputs_version = newest
            self._gates.learn()
            self._ingest.learn()
            self._configure()
            self._say({"event": "notice", "text": "the community's inputs have changed: see pumasi community history"})

    def _correct(self) -> None:
        """Estimate what has not come by its deadline; run again what was corrected, here or by another process."""
        gates = self._gates
        if self._when_there_is_room(lambda: self._estimates.fill(gates.rules, gates.now, gates.next_start)):
            self._notice("readings that have not come are estimated from those on both sides: pumasi correction list")
        newest = self._record.last_correction()
        if newest != self._corrections:
            self._corrections = newest
            self._late_since = self._late_since or time.monotonic()

    def _configure(self) -> None:
        """Tell meters what has changed for them."""
        for config in self._configs.changes():
            self._link.publish(config, retain=True)

    def _when_there_is_room(self, write: Callable[[], T]) -> T | None:
        """What ``write`` returns; tried again while the disk is full. None: the end was asked for meanwhile.

        Nothing is taken from the queue in the meantime, and nothing acknowledged: meters and broker keep it.
        """
        told = False
        while not self._stop_asked:
            try:
                done = write()
            except RecordFullError as error:
                if not told:
                    told = True
                    text = f"{error}; nothing of it is kept, nothing is acknowledged, and it is tried again"
                    self._say({"event": "notice", "text": text})
                time.sleep(FULL_RETRY_S)
                continue
            if told:
                self._say({"event": "notice", "text": "the record can be written again; the market goes on"})
            return done
        return None

    def _close_one(self, busy: bool) -> None:
        """Close the next gate that is due; run one interval again whose data came late."""
        now_s = time.monotonic()
        if self._stuck:
            return
        if self._gates.due(now_s):
            # What a closure tells of messages is all that came before it.
            self._when_there_is_room(partial(self._ingest.store_statuses, self._gates.now))
            closed = self._when_there_is_room(self._gates.close_next)
            if closed is not None:
                self._closed(closed)
        if self._rerunning:
            again = self._when_there_is_room(self._run_next_again)
            self._rerunning = again is not None
            if again is not None:
                self._closed(again)
                self._months.ask()
        elif self._late_since is not None and self._gates.now and (not busy or now_s > self._late_since + LATE_BOUND_S):
            self._late_since = None
            self._reruns, self._rerunning = self._gates.run_again(self._notice), True

    def _run_next_again(self) -> Closed | None:
        try:
            return next(self._reruns, None)
        except RecordFullError:
            # A generator that has raised is over; what it did not get to is found again.
            self._reruns = self._gates.run_again(self._notice)
            raise

    def _next_events(self) -> list[Event]:
        now_s = time.monotonic()
        busy = not self._stuck and (self._rerunning or self._gates.due(now_s))
        wait_s = 0.0 if busy else IDLE_S if self._stuck else min(IDLE_S, self._gates.wait_s(now_s))
        return self._events.take(BATCH_BOUND, wait_s)

    def _connected(self) -> None:
        self._say({"event": "connected", "meters": sum(len(member.meters) for member in self._gates.rules.members)})
        for ack in self._ingest.acks():
            self._link.publish(ack, retain=True)
        self._publish_head()
        self._publish_price()
        for config in self._configs.every():
            self._link.publish(config, retain=True)

    def _store(self, received: list[Received]) -> None:
        readings = []
        for one in received:
            if one.message.topic.endswith("/status"):
                status = self._ingest.status(one.message)
                if status is not None:
                    meter, online = status
                    (self._online.add if online else self._online.discard)(meter)
                self._link.acknowledge(one)
            else:
                readings.append(one)
        if not readings:
            return
        messages = [one.message for one in readings]
        batch = self._when_there_is_room(
            lambda: self._ingest.store(messages, now=self._gates.now, closed_before=self._gates.next_start)
        )
        if batch is None:
            return
        for ack in batch.acks:
            self._link.publish(ack, retain=True)
        for one in readings:
            self._link.acknowledge(one)
        if batch.rotated:
            self._configure()
        for start, meter in batch.stored:
            self._gates.heard(start, meter)
        self._estimates.heard(batch.stored)
        if batch.outcomes["late"]:
            self._late_since = self._late_since or time.monotonic()

    def _closed(self, closed: Closed) -> None:
        self._projection.wake()
        try:
            self._chain.write_heads()
        except OSError as error:
            self._notice(f"the file of chain heads lacks the newest until the next closure: {error}")
        self._publish_head()
        if closed.gate.start + closed.gate.length >= self._gates.next_start:
            self._publish(closed)
        self._announce(closed.gate, closed.settled.result)

    def _publish_head(self) -> None:
        """The chain's newest head, so that everybody knows what the record held and can hold it against it later."""
        head = self._chain.newest()
        if head is not None:
            name = community_topic(self._gates.rules.community, "chain")
            self._link.publish(Message(name, head), retain=True)

    def _publish_price(self) -> None:
        """The price of the newest interval that was closed."""
        if self._price is not None:
            name = community_topic(self._gates.rules.community, "price")
            self._link.publish(Message(name, msgspec.json.encode(self._price)), retain=True)

    def _publish(self, closed: Closed) -> None:
        """The posted price to everybody, and to each meter what its household traded."""
        rules, gate, settled = closed.rules, closed.gate, closed.settled
        price = decimal_text(settled.price_ticks)
        self._price = Price(1, gate.start, gate.length, price)
        self._publish_price()
        for member, position in zip(rules.members, settled.positions, strict=True):
            for meter in member.meters:
                name = topic(rules.community, meter.meter, "result")
                kid = self._ingest.keys.present(meter.meter)
                result = Result(1, kid, gate.start, gate.length, position.bought_wh, position.sold_wh, price)
                body = sign(self._ingest.keys.key(meter.meter, kid), name, msgspec.json.encode(result))
                self._link.publish(Message(name, body), retain=False)

    def _announce(self, gate: Gate, result: dict[str, Any]) -> None:
        households = result["households"]
        self._say(
            {
                "event": "gate",
                "start": gate.start,
                "length": gate.length,
                "revision": gate.revision,
                "homes": len(households),
                "heard": sum(row["heard"] for row in households),
                "online": len(self._online),
                "energy_traded_wh": sum(row["sold_wh"] for row in households),
                "welfare": result["welfare"],
                "certificate_gap": result["certificate"]["gap"],
                "outcomes": self._record.outcomes(),
            }
        )


def run_market(market: Market, *, conductor: TextIO | None) -> None:
    """Run until SIGINT, SIGTERM, or the conductor's end. Without a conductor the machine's clock ticks."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: market.stop())
    stopping = threading.Event()
    if conductor is None:
        target: Callable[[], None] = lambda: system_clock(market.tick, stopping)  # noqa: E731
    else:
        target = lambda: conductor_clock(conductor, market.tick, market.stop)  # noqa: E731
    threading.Thread(target=target, name="clock", daemon=True).start()
    try:
        market.run()
    finally:
        stopping.set()


def say_json(event: dict[str, Any]) -> None:
    """One event, one line, at once: what the conductor reads."""
    try:
        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The conductor is gone; standard input ends too and stops the market.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
