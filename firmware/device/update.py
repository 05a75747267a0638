"""Updates over the air: fetches the bundle that an authentic `config` offers, and gives it the next boot."""

import asyncio
import binascii
import hashlib

import bundle
import stage
from clock import log
from messages import VERSION

PUBLIC_KEY = "firmware.pub"
RETRY_LEAST_S = 60
RETRY_MOST_S = 21_600
# how often it looks whether the running version was found healthy by now
LOOK_S = 5


class Updates:
    """`fetch(path)` is awaited for a response with `status`, `length`, `readinto(buffer)` and `close()`.

    `restart` asks for a restart, into the slot that now holds the new version.
    """

    def __init__(self, remote, trial, fetch) -> None:
        self._remote = remote
        self._trial = trial
        self._fetch = fetch
        self._wake = asyncio.Event()
        # the configuration whose offer was answered for good
        self._answered = 0
        self.restart = False
        self.last_error = None  # type: str | None

    def wake(self) -> None:
        """There may be another offer."""
        self._wake.set()

    async def run(self) -> None:
        """Ends when a new version is in place."""
        wait_s = RETRY_LEAST_S
        while True:
            self._wake.clear()
            offer = self._remote.offer
            if offer is None or self._remote.version == self._answered or not self._is_wanted(offer):
                wait_s = RETRY_LEAST_S
                await self._wake.wait()
                continue
            if not self._trial.healthy:
                # the other slot holds what would be gone back to
                await asyncio.sleep(LOOK_S)
                continue
            try:
                await self._take(offer)
                self.restart = True
                return
            except bundle.RefusedError as refusal:
                self._refuse(refusal.name, str(refusal))
                continue
            except (OSError, EOFError, ValueError, MemoryError, asyncio.TimeoutError) as error:
                self.last_error = str(error) or type(error).__name__
                log("update: %s: %s; again in %d s" % (offer["version"], self.last_error, wait_s))
            try:
                await asyncio.wait_for(self._wake.wait(), wait_s)
            except asyncio.TimeoutError:
                # time to try again
                wait_s = min(2 * wait_s, RETRY_MOST_S)

    def _is_wanted(self, offer: dict) -> bool:
        if self._trial.slot is None or offer["version"] == VERSION:
            return False
        try:
            older = bundle.number(offer["version"]) < bundle.number(VERSION)
        except ValueError as error:
            self._refuse("damaged", str(error))
            return False
        if older:
            self._refuse("downgrade", "version %s is older than %s" % (offer["version"], VERSION))
            return False
        state = stage.state()
        if offer["version"] == state["failed"] and self._remote.version <= state["offer"]:
            self._refuse("failed", "version %s did not run here" % offer["version"])
            return False
        return True

    def _refuse(self, name: str, reason: str) -> None:
        self._answered = self._remote.version
        self.last_error = reason
        self._remote.refuse(name, reason)

    async def _take(self, offer: dict) -> None:
        offered_by = self._remote.version
        slot = stage.other(self._trial.slot)
        log("update: fetching version " + offer["version"])
        response = await self._fetch(offer["path"])
        try:
            if response.status != 200:
                raise OSError("the hub answers %d" % response.status)
            if response.length != offer["size"]:
                raise bundle.RefusedError("damaged", "%s bytes, not %d" % (response.length, offer["size"]))
            stream = _Stream(response)
            await bundle.install(stream.read, slot, _modulus(), VERSION, offer["version"])
        finally:
            await response.close()
        if stream.bytes != offer["size"] or stream.sha256() != offer["sha256"]:
            bundle.clear(slot)
            raise bundle.RefusedError("damaged", "not the bundle that was offered")
        # read back: what the flash did not keep must not get a turn
        if not stage.whole(slot):
            bundle.clear(slot)
            raise bundle.RefusedError("damaged", "the flash did not keep it")
        state = stage.state()
        state["slot"] = slot
        state["proven"] = False
        state["boots"] = 0
        state["offer"] = offered_by
        stage.save(state)
        log("update: version %s has its turn at the next boot" % offer["version"])


class _Stream:
    """Exactly so many bytes at a time, counted and hashed."""

    def __init__(self, response) -> None:
        self._response = response
        self._digest = hashlib.sha256()
        self.bytes = 0

    async def read(self, size: int) -> bytearray:
        buffer = bytearray(size)
        view = memoryview(buffer)
        filled = 0
        while filled < size:
            step = await self._response.readinto(view[filled:])
            if not step:
                raise EOFError("the bundle ends too early")
            filled += step
        self.bytes += size
        self._digest.update(buffer)
        return buffer

    def sha256(self) -> str:
        """May be asked once."""
        return binascii.hexlify(self._digest.digest()).decode()


def _modulus() -> bytes:
    try:
        with open(PUBLIC_KEY, "rb") as file:
            return file.read()
    except OSError:
        raise bundle.RefusedError("signature", "there is no %s to check it by" % PUBLIC_KEY)
