# Fills the outbox past its end, then a small littlefs until it is full, and measures the flash it takes.
import json
import os

import outbox
import slots
import vfs


def put(box, number):
    return box.append(900 * number, 900, [number, 0, 0, number], 0)


class Flash:
    def __init__(self, blocks):
        self.blocks = blocks
        self.cells = bytearray(blocks * 4096)
        self.erased = 0

    def readblocks(self, block, buffer, offset=0):
        at = block * 4096 + offset
        buffer[:] = self.cells[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * 4096 + offset
        self.cells[at : at + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        self.erased += operation == 6
        return {4: self.blocks, 5: 4096, 6: 0}.get(operation)


def mounted(blocks):
    flash = Flash(blocks)
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    return flash


answer = {}
mounted(160)
free = os.statvfs("/flash")[3]
box = outbox.Outbox("/flash/box")
answer["capacity"] = box.capacity
for number in range(box.capacity):
    put(box, number)
assert box.first == 0 and box.dropped == 0 and len(box) == box.capacity
used = 0
for number in range(box.capacity, box.capacity + 2 * outbox.RECORDS_PER_SEGMENT):
    put(box, number)
    used = max(used, free - os.statvfs("/flash")[3])
answer["flash_bytes"] = used * 4096
# the oldest segment went, and everything in it was still unacknowledged
answer["dropped"] = box.dropped
assert box.first == box.acknowledged == box.dropped
assert box.read(box.first - 1) is None and box.read(box.first).seq == box.first
again = outbox.Outbox("/flash/box")
assert (again.first, again.dropped, again.next_seq) == (box.first, box.dropped, box.next_seq)
assert not again.acknowledge(again.next_seq + 1)
assert again.acknowledge(again.next_seq) and len(again) == 0
assert put(again, again.next_seq) == again.next_seq - 1
mark = again.acknowledged
assert mark == again.next_seq - 1 == outbox.Outbox("/flash/box").acknowledged
vfs.umount("/flash")

mounted(12)
with open("/flash/other", "wb") as file:
    file.write(bytes(4 * 4096))
box = outbox.Outbox("/flash/box", 24, 32)
for number in range(400):
    assert put(box, number) == number
assert box.dropped > 0 and box.next_seq == 400
again = outbox.Outbox("/flash/box", 24, 32)
assert again.next_seq == 400
for number in range(again.first, 400):
    assert again.read(number).start == 900 * number, number
answer["full_flash_held"] = 400 - again.first
vfs.umount("/flash")

# a day of the state of the metering and of records, acknowledged as they come, on the file system of a board
flash = mounted(512)
box = outbox.Outbox("/flash/box")
state = slots.Slots("/flash/box/metering")
for number in range(3 * 96):
    if number == 2 * 96:
        before = flash.erased
    state.save(bytes(150))
    box.acknowledge(put(box, number))
answer["erased_a_day"] = flash.erased - before
print(json.dumps(answer))
