# What a meter does with offers. Argument: a file with a JSON object: "running" version, "slots" (false: run from
# source), "state" of the boot stage or null, "healthy_after" looks, "offers": a list of {"version" of the config,
# "offer", "bundle" file, "status", "length" or null, "fail": how many answers are lost first}. One meter hears them one
# after the other. Prints what came of each, and what the flash holds at the end.
import asyncio
import hashlib
import json
import os
import sys

import stage
import update
from remote import Remote

with open(sys.argv[1]) as file:
    case = json.load(file)

update.VERSION = case["running"]
update.LOOK_S = update.RETRY_LEAST_S = 0
asked = []


class Heard:
    """A Remote that has heard nothing yet."""

    def __init__(self):
        self.version = 0
        self.offer = None
        self.refused = {}

    refuse = Remote.refuse


class Trial:
    def __init__(self):
        self.slot = "a" if case["slots"] else None
        self.looks = 0

    @property
    def healthy(self):
        self.looks += 1
        return self.looks > case["healthy_after"]


class Response:
    opened = closed = 0

    def __init__(self, row):
        with open(row["bundle"], "rb") as file:
            self._whole = file.read()
        self.status = row["status"]
        self.length = len(self._whole) if row["length"] is None else row["length"]
        self._at = 0
        Response.opened += 1

    async def readinto(self, buffer):
        size = min(len(buffer), 999, len(self._whole) - self._at)
        buffer[:size] = self._whole[self._at : self._at + size]
        self._at += size
        return size

    async def close(self):
        Response.closed += 1


def tree(folder):
    found = {}
    for entry in os.ilistdir(folder):
        path = folder + "/" + entry[0]
        if entry[1] & 0x4000:
            found.update(tree(path))
        else:
            with open(path, "rb") as file:
                found[path] = hashlib.sha256(file.read()).digest().hex()
    return found


async def run():
    told = []
    remote = Heard()
    trial = Trial()
    row = {}

    async def fetch(path):
        asked.append(path)
        if row["fail"]:
            row["fail"] -= 1
            raise OSError(110)
        return Response(row)

    updates = update.Updates(remote, trial, fetch)
    task = asyncio.create_task(updates.run())
    for row in case["offers"]:
        remote.version = row["version"]
        remote.offer = row["offer"]
        before = len(asked)
        updates.wake()
        await asyncio.sleep_ms(60)
        told.append(
            {"refused": dict(remote.refused), "asked": len(asked) - before, "restart": updates.restart,
             "error": updates.last_error, "ended": task.done()}
        )  # fmt: skip
        if task.done():
            break
    task.cancel()
    assert Response.opened == Response.closed
    return {"told": told, "looks": trial.looks}


if case["slots"]:
    os.mkdir("a")
    with open("a/meter.mpy", "wb") as file:
        file.write(b"old")
    row = '{"path":"meter.mpy","size":3,"sha256":"%s"}' % hashlib.sha256(b"old").digest().hex()
    with open("a/manifest.json", "w") as file:
        file.write('{"version":"%s","files":[%s]}' % (case["running"], row))
if case["state"] is not None:
    stage.save(case["state"])
found = asyncio.run(run())
found["b"] = tree("b") if "b" in os.listdir() else {}
found["whole"] = [stage.whole("a"), stage.whole("b")]
found["state"] = stage.state()
print(json.dumps(found))
