# Saves the state of a metering with changing registers on a littlefs of 2 MiB, the smallest partition of an ESP32 with
# 4 MiB of flash. Argument: a file with how many saves, and how many sensors. Prints how often blocks were erased.
import json
import os
import sys

import vfs
from metering import Metering
from slots import Slots

with open(sys.argv[1]) as file:
    saves, sensors = json.load(file)
BLOCKS = 512


class Flash:
    def __init__(self):
        self.cells = bytearray(BLOCKS * 4096)
        self.erased = [0] * BLOCKS

    def readblocks(self, block, buffer, offset=0):
        at = block * 4096 + offset
        buffer[:] = self.cells[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * 4096 + offset
        self.cells[at : at + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        if operation == 6:
            self.erased[argument] += 1
        return {4: BLOCKS, 5: 4096, 6: 0}.get(operation)


flash = Flash()
vfs.VfsLfs2.mkfs(flash)
vfs.mount(vfs.VfsLfs2(flash), "/flash")
os.mkdir("/flash/outbox")
slots = Slots("/flash/outbox/metering")
metering = Metering(sensors, {0, 1, 2})
tags = list(range(sensors))
# the first makes the files
slots.save(metering.pack(tags, 0))
flash.erased = [0] * BLOCKS
for number in range(saves):
    for index in range(sensors):
        metering.take(index, (number * 100, number, number, None))
    metering.settle()
    slots.save(metering.pack(tags, 1_800_000_000))
told = {"saves": saves, "bytes": len(metering.pack(tags, 0)), "erased": sum(flash.erased), "most": max(flash.erased)}
told["blocks"] = BLOCKS
print(json.dumps(told))
