# A board's clock in a world of its own: crystal, ticks that wrap, time servers and sleep are all simulated, so a month
# passes in a moment. Argument: the name of a case. Prints what the case found.
import asyncio as real
import json
import sys

import clock
import ntp

PERIOD = 1 << 30
TRUE_MS = 1_800_000_300_250
DAY_MS = 86_400_000


class World:
    """True time, and a crystal that runs `ppm` fast."""

    def __init__(self, ppm=0, ticks=PERIOD - 5000):
        self.true_ms = TRUE_MS
        self.ppm = ppm
        self._first = ticks
        self.asked = 0
        self.lie_ms = []
        self.online = True
        self.scatter_ms = 0
        self.Event = real.Event

    # time's face
    def ticks_ms(self):
        gone_ms = self.true_ms - TRUE_MS
        return (self._first + gone_ms + gone_ms * self.ppm // 1_000_000) % PERIOD

    def ticks_diff(self, left, right):
        return (left - right + PERIOD // 2) % PERIOD - PERIOD // 2

    # asyncio's face
    async def sleep_ms(self, milliseconds):
        self.true_ms += milliseconds

    async def sleep(self, seconds):
        self.true_ms += seconds * 1000

    # the time servers
    async def ask(self, host, port, ticks):
        self.asked += 1
        if not self.online:
            self.true_ms += 3000
            raise OSError(110)
        lie_ms = self.lie_ms.pop(0) if self.lie_ms else 0
        if lie_ms is None:
            raise ntp.NtpError("the server does not know the time itself")
        # the way back takes longer on every second answer
        scatter_ms = self.scatter_ms if self.asked % 2 else -self.scatter_ms
        self.true_ms += 2 * self.scatter_ms + 10
        return ntp.Answer(self.true_ms + lie_ms + scatter_ms, self.ticks_ms(), 2 * self.scatter_ms + 10)

    def keeper(self):
        return clock.NtpClock(["one.example", "two.example:1123"], self.ask, self)


def use(world):
    clock.asyncio = world
    return world, world.keeper()


async def pass_days(world, keeper, days, poll_s=1800):
    """Asks as often as `run` does when all is well; gives the greatest error and the greatest breach of the bound."""
    worst_ms = breach_ms = 0
    end_ms = world.true_ms + days * DAY_MS
    last_ms = 0
    while world.true_ms < end_ms:
        await keeper.synchronise()
        asked_ms = world.true_ms
        while world.true_ms < asked_ms + poll_s * 1000:
            await world.sleep_ms(59_999)
            now_ms = keeper.now_ms()
            assert now_ms > last_ms, "time went back"
            last_ms = now_ms
            off_ms = abs(now_ms - world.true_ms)
            worst_ms = max(worst_ms, off_ms)
            breach_ms = max(breach_ms, off_ms - keeper.error_ms)
    return {"worst_ms": worst_ms, "breach_ms": breach_ms}


async def ticks_of(keeper, count):
    seconds = []
    while len(seconds) < count:
        seconds.append(await keeper.tick())
    return seconds


async def drift():
    world, keeper = use(World(ppm=int(sys.argv[2])))
    world.scatter_ms = 20
    assert keeper.now_ms() is None and keeper.error_ms is None and keeper.doubtful
    settled = await pass_days(world, keeper, 2)
    told = {"settled": settled, "drift_ppb": keeper.drift_ppb, "error_ms": keeper.error_ms}
    world.online = False
    told["holdover"] = await pass_days(world, keeper, 26)
    told["doubtful"] = keeper.doubtful
    told["holdover_error_ms"] = keeper.error_ms
    world.online = True
    await keeper.synchronise()
    told["again_off_ms"] = abs(keeper.now_ms() - world.true_ms)
    return told


async def first():
    # before the first sync the meter is called once a second, with 0
    world, keeper = use(World())
    world.online = False
    called = []
    for _ in range(3):
        before_ms = world.true_ms
        called.append([await keeper.tick(), world.true_ms - before_ms])
    silent = await keeper.synchronise()
    world.online = True
    # one of the two servers has lost its time; then one does not know it
    world.lie_ms = [0, DAY_MS]
    torn = await keeper.synchronise()
    world.lie_ms = [None]
    unfit = await keeper.synchronise()
    unset = keeper.is_set or keeper.synced.is_set()
    agreed = await keeper.synchronise()
    seconds = await ticks_of(keeper, 3)
    return {
        "called": called, "steps": [silent, torn, unfit, agreed], "unset": unset, "refused": keeper.refused,
        "set": keeper.is_set and keeper.synced.is_set(), "off_ms": keeper.now_ms() - world.true_ms,
        "seconds": [second - seconds[0] for second in seconds], "begins_ms": world.true_ms % 1000,
    }  # fmt: skip


async def jump():
    world, keeper = use(World())
    await keeper.synchronise()
    # one liar is not followed; a small offset is worked off without a step
    world.lie_ms = [3_600_000, 0]
    followed = await keeper.synchronise()
    off_ms = keeper.now_ms() - world.true_ms
    world.lie_ms = [400]
    await keeper.synchronise()
    at_once_ms = keeper.now_ms() - world.true_ms
    await world.sleep_ms(400_000)
    half_ms = keeper.now_ms() - world.true_ms
    await world.sleep_ms(600_000)
    return {
        "followed": followed, "off_ms": off_ms, "at_once_ms": at_once_ms, "half_ms": half_ms,
        "at_last_ms": keeper.now_ms() - world.true_ms,
    }  # fmt: skip


async def back():
    # two servers agree on an hour too many; an interval is closed by it, and then they find the truth
    world, keeper = use(World())
    world.lie_ms = [3_600_000, 3_600_000]
    await keeper.synchronise()
    now_s = await keeper.tick()
    closed_s = now_s - now_s % 900
    keeper.closed(closed_s)
    await keeper.synchronise()
    stands_s = [second - closed_s for second in await ticks_of(keeper, 3)]
    doubtful, error_ms = keeper.doubtful, keeper.error_ms
    behind_ms = closed_s * 1000 - world.true_ms
    await world.sleep_ms(behind_ms - 10)
    still_ms = keeper.now_ms() - closed_s * 1000
    await world.sleep_ms(1000)
    return {
        "stands_s": stands_s, "doubtful": doubtful, "error_covers": error_ms >= behind_ms - 5000, "still_ms": still_ms,
        "goes_on_ms": keeper.now_ms() - closed_s * 1000, "at_last": keeper.doubtful,
    }  # fmt: skip


async def astray():
    # both servers are two years ahead for a minute, and intervals are closed by it: a day of the truth undoes it
    world, keeper = use(World())
    keeper.closed(world.true_ms // 1000)
    world.lie_ms = [730 * DAY_MS, 730 * DAY_MS]
    await keeper.synchronise()
    keeper.closed(await keeper.tick())
    polls = 0
    while keeper.now_ms() > world.true_ms + DAY_MS:
        await keeper.synchronise()
        await world.sleep_ms(1_800_000)
        polls += 1
        # one answer that is silent or that lies changes nothing
        world.lie_ms = [3_600_000] if polls % 7 == 0 else []
        assert polls < 100, "stands for ever"
    # less than a day is waited for
    off_ms = abs(keeper.now_ms() - world.true_ms)
    keeper.closed(world.true_ms // 1000 + 80_000)
    for _ in range(100):
        await keeper.synchronise()
        await world.sleep_ms(600_000)
    return {"hours": polls // 2, "off_ms": off_ms, "stands": keeper.now_ms() > world.true_ms}


async def dead():
    # one of the two servers never answers: the other one's word, given twice, counts
    told = []
    for gone in ("one.example", "two.example"):
        world = World()

        async def ask(host, port, ticks, world=world, gone=gone):
            if host == gone:
                raise OSError(110)
            return await World.ask(world, host, port, ticks)

        world.ask = ask
        world, keeper = use(world)
        tries = 1
        while not await keeper.synchronise():
            tries += 1
            assert tries < 5, "no time without " + gone
        told.append([tries, abs(keeper.now_ms() - world.true_ms) < 10])
    return told


class OverError(Exception):
    pass


async def asks():
    # how often a server is troubled: a day online, then a day offline
    world, keeper = use(World(ppm=10))

    async def until(days):
        before = world.asked
        end_ms = world.true_ms + days * DAY_MS
        world.stop_ms = end_ms
        try:
            await keeper.run()
        except OverError:
            pass
        return world.asked - before

    async def sleep_ms(milliseconds):
        world.true_ms += milliseconds
        if world.true_ms > world.stop_ms:
            raise OverError

    world.sleep_ms = sleep_ms
    online = await until(1)
    world.online = False
    return {"online": online, "offline": await until(1)}


CASES = {"drift": drift, "first": first, "jump": jump, "back": back, "astray": astray, "dead": dead, "asks": asks}
print(json.dumps(real.run(CASES[sys.argv[1]]())))
