# Cuts the power at every flash operation of an update on littlefs: nothing, half or all of the operation is done.
# Arguments: the bundle's file, its version, the public key's file; slot a holds version 0.1.0.
import asyncio
import hashlib
import json
import os
import sys

import messages
import stage
import update
import vfs
from flash import Flash, empty

BLOCKS = 64
OLD = {"meter.mpy": b"old meter" * 300, "sensors/one.mpy": b"old sensor"}


def content(path):
    with open(path, "rb") as file:
        return file.read()


bundle = content(sys.argv[1])
NEW = sys.argv[2]
public = content(sys.argv[3])
update.VERSION = messages.VERSION = "0.1.0"


class Response:
    status = 200
    length = len(bundle)

    def __init__(self):
        self._at = 0

    async def readinto(self, buffer):
        size = min(len(buffer), 700, len(bundle) - self._at)
        buffer[:size] = bundle[self._at : self._at + size]
        self._at += size
        return size

    async def close(self):
        pass


async def fetch(path):
    return Response()


class Remote:
    def __init__(self):
        self.version = 3
        digest = hashlib.sha256(bundle).digest().hex()
        self.offer = {"version": NEW, "size": len(bundle), "sha256": digest, "path": "/x"}


class Trial:
    slot = "a"
    healthy = True


def lay(path, text):
    with open(path, "wb") as file:
        file.write(text)


def running():
    with open(stage.choose() + "/manifest.json") as file:
        return json.load(file)["version"]


def update_once():
    remote = Remote()
    asyncio.run(update.Updates(remote, Trial(), fetch)._take(remote.offer))


def provision():
    """A meter as it comes from the host: one slot, and nothing said about it."""
    os.mkdir("a")
    os.mkdir("a/sensors")
    rows = []
    for path, text in OLD.items():
        lay("a/" + path, text)
        row = (path, len(text), hashlib.sha256(text).digest().hex())
        rows.append('{"path":"%s","size":%d,"sha256":"%s"}' % row)
    lay("a/manifest.json", ('{"version":"0.1.0","files":[' + ",".join(rows) + "]}").encode())
    lay("firmware.pub", public)
    # the slot of an update that once gave up in the middle
    os.mkdir("b")
    lay("b/old.mpy", b"rubbish" * 700)


def on(flash, work):
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    os.chdir("/flash")
    try:
        return work()
    finally:
        os.chdir("/")
        vfs.umount("/flash")


def inspect():
    """After the cut: a whole version runs, and the update can be had after all."""
    found = running()
    assert found in ("0.1.0", NEW), found
    assert stage.whole("a")
    if found == NEW:
        return found
    update_once()
    assert running() == NEW and stage.whole("b") and stage.whole("a")
    # it is never found healthy: after its tries the old one has its turn again, and the new one is remembered
    assert [running() for _ in range(4)] == [NEW, NEW, "0.1.0", "0.1.0"]
    assert stage.state()["failed"] == NEW and stage.state()["offer"] == 3
    return found


home = os.getcwd()
fresh = empty(BLOCKS)
vfs.VfsLfs2.mkfs(Flash(fresh))
on(Flash(fresh), provision)
cells = bytearray(len(fresh))
cut = 0
outcomes = {"0.1.0": 0, NEW: 0}
over = False
while not over:
    for quarters in (0, 2, 4):
        cells[:] = fresh
        try:
            on(Flash(cells, cut, quarters), update_once)
            over = True
        except OSError:
            # the power is gone
            pass
        found = on(Flash(cells), inspect)
        assert found == NEW or not over
        outcomes[found] += 1
    cut += 1
print(json.dumps({"operations": cut - 1, "outcomes": outcomes}))
