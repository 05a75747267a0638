# Cuts the power at every flash operation of a meter's life on littlefs: before it, halfway through it, just after it.
# Acks come first; then the market is silent, and the oldest records have to go.
import json

import outbox
import vfs
from flash import Flash, empty
from slots import Slots

BLOCKS = 24
RECORDS = 22
ACKNOWLEDGED = 9


def open_box():
    return outbox.Outbox("/flash/box", 3, 4)


def put(box, number):
    return box.append(900 * number, 900, [number, 0, 0, number], 0)


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
        told["dropped"] = box.dropped
        if number % 3 == 2 and number < ACKNOWLEDGED:
            told["acknowledged"] = number
            assert box.acknowledge(number)
    assert box.dropped > 0 and box.first == box.acknowledged
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
        # only a full outbox loses records, and every one of them is counted
        lost = max(0, box.first - told.get("acknowledged", 0))
        assert lost == box.dropped, (told, box.first, box.dropped)
        assert told.get("dropped", 0) <= box.dropped, (told, box.dropped)
        assert box.first <= max(told.get("acknowledged", 0), box.next_seq - 8), (told, box.first)
        assert box.acknowledged <= max(told.get("acknowledged", 0), box.first)
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


fresh = empty(BLOCKS)
vfs.VfsLfs2.mkfs(Flash(fresh))
cells = bytearray(len(fresh))
cut = 0
told = {}
while "end" not in told:
    for quarters in (0, 1, 2, 4):
        cells[:] = fresh
        flash = Flash(cells, cut, quarters)
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
