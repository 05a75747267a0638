# Cuts the power at every flash operation of a meter's life on littlefs: before it, halfway through it, just after it.
import json

import outbox
import vfs
from slots import Slots

BLOCK_BYTES = 4096
BLOCKS = 24
RECORDS = 14


class Flash:
    """Loses power in the middle of operation number `cut`; -1 never does."""

    def __init__(self, cells):
        self.cells = cells
        self.cut = -1
        self.quarters = 2
        self.operations = 0

    def readblocks(self, block, buffer, offset=0):
        at = block * BLOCK_BYTES + offset
        buffer[:] = self.cells[at : at + len(buffer)]
        return 0

    def writeblocks(self, block, buffer, offset=0):
        self.change(block * BLOCK_BYTES + offset, buffer)
        return 0

    def ioctl(self, operation, argument):
        if operation == 4:
            return BLOCKS
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            self.change(argument * BLOCK_BYTES, b"\xff" * BLOCK_BYTES)
            return 0
        return 0

    def change(self, at, content):
        if self.cut >= 0 and self.operations >= self.cut:
            if self.operations == self.cut:
                half = len(content) * self.quarters // 4
                self.cells[at : at + half] = bytes(content[:half])
            self.operations += 1
            raise OSError(5)
        self.operations += 1
        self.cells[at : at + len(content)] = content


def open_box():
    return outbox.Outbox("/flash/box", 3, 4)


def put(box, number):
    return box.append(900 * number, 900, [number, 0, 0, number], [number, 0, 0, 0], 0)


def live(flash, told):
    """What a meter does; `told` is what it has said to others, which must still be true after any cut."""
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    box = open_box()
    told["id"] = box.id
    origin = Slots("/flash/box/origin")
    if origin.content is None:
        origin.save(b"origin")
    told["origin"] = True
    for number in range(RECORDS):
        assert put(box, number) == number
        told["next"] = number + 1
        if number % 3 == 2:
            told["acknowledged"] = number
            assert box.acknowledge(number)
    told["end"] = True


def inspect(flash, told):
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    try:
        box = open_box()
        if "id" in told:
            assert box.id == told["id"]
        if "origin" in told:
            assert Slots("/flash/box/origin").content == b"origin"
        # a record may be whole on flash though the meter had no time to say so
        assert told.get("next", 0) <= box.next_seq <= told.get("next", 0) + 1, (told, box.next_seq)
        assert box.first <= told.get("acknowledged", 0), (told, box.first)
        assert box.acknowledged <= told.get("acknowledged", 0)
        for number in range(box.acknowledged, box.next_seq):
            record = box.read(number)
            assert record is not None and record.start == 900 * number and record.registers[0] == number
        if box.next_seq:
            assert box.last.seq == box.next_seq - 1
        number = box.next_seq
        assert put(box, number) == number
        assert open_box().next_seq == number + 1
    finally:
        vfs.umount("/flash")


empty = bytearray(b"\xff" * (BLOCK_BYTES * BLOCKS))
vfs.VfsLfs2.mkfs(Flash(empty))
cells = bytearray(len(empty))
cut = 0
told = {}
while "end" not in told:
    for quarters in (0, 1, 2, 4):
        cells[:] = empty
        flash = Flash(cells)
        flash.cut = cut
        flash.quarters = quarters
        told = {}
        try:
            live(flash, told)
        except OSError:
            # the power is gone
            pass
        vfs.umount("/flash")
        inspect(Flash(cells), told)
    cut += 1
assert told["next"] == RECORDS
print(json.dumps({"cuts": cut * 4}))
