# Cuts the power at every byte of a record's write, and spoils every byte of stored records, file by file.
import json
import os

import outbox
import vfs
from slots import Slots

PER_SEGMENT = 3
RECORDS = 7


class Flash:
    """Memory: a real disk would spend the test's time on flushing."""

    def __init__(self):
        self.cells = bytearray(64 * 4096)

    def readblocks(self, block, buffer, offset=0):
        at = block * 4096 + offset
        buffer[:] = self.cells[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * 4096 + offset
        self.cells[at : at + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        return {4: 64, 5: 4096, 6: 0}.get(operation)


flash = Flash()
vfs.VfsLfs2.mkfs(flash)
vfs.mount(vfs.VfsLfs2(flash), "/flash")
os.chdir("/flash")


def fresh():
    return outbox.Outbox("box", 4, PER_SEGMENT)


def put(box, number):
    registers = [number, 2 * number, 3 * number, 2**33 + number]
    return box.append(900 * number, 900, registers, number % 16)


def check(record, number):
    assert record is not None, number
    assert record.start == 900 * number and record.seq == number, record
    assert record.registers == (number, 2 * number, 3 * number, 2**33 + number), record
    assert record.flags == number % 16, record


def contents():
    held = {}
    for entry in os.ilistdir("box"):
        with open("box/" + entry[0], "rb") as file:
            held[entry[0]] = file.read()
    return held


def lay(name, content):
    with open("box/" + name, "wb") as file:
        file.write(content)


box = fresh()
identity = box.id
cuts = 0
for number in range(RECORDS):
    before = contents()
    assert put(box, number) == number
    after = contents()
    name = "%08x.seg" % (number - number % PER_SEGMENT)
    old = before.get(name, b"")
    new = after[name]
    for size in range(len(old), len(new)):
        # the written part, alone or followed by bytes that never reached the flash
        unwritten = (b"\xff" * (len(new) - size), b"\0" * (len(new) - size)) if size % 5 == 0 else ()
        for tail in (b"",) + unwritten:
            if size + len(tail) == len(new) and new[size:] == tail:
                continue
            lay(name, new[:size] + tail)
            box = fresh()
            assert box.id == identity and box.next_seq == number, (number, size)
            for earlier in range(number):
                check(box.read(earlier), earlier)
            assert (box.last is None) if number == 0 else box.last.seq == number - 1
            assert put(box, number) == number
            box = fresh()
            assert box.next_seq == number + 1
            check(box.read(number), number)
            cuts += 1
    lay(name, new)
    box = fresh()

# worn flash: a spoiled byte costs its own record and nothing else, and no sequence number is used twice
whole = contents()
spoiled = 0
for name in ("00000000.seg", "00000003.seg"):
    first = int(name[:8], 16)
    for offset in range(len(whole[name])):
        content = bytearray(whole[name])
        content[offset] ^= 0x10
        lay(name, content)
        box = fresh()
        lost = first + offset // outbox.RECORD_BYTES
        assert box.next_seq == RECORDS
        for number in range(RECORDS):
            if number == lost:
                assert box.read(number) is None
            else:
                check(box.read(number), number)
        assert box.acknowledge(lost)
        box.skip(lost)
        assert box.dropped == 1 and box.first == lost + 1 and box.acknowledged == lost + 1
        spoiled += 1
        for other in ("00000000.seg", "00000003.seg"):
            lay(other, whole[other])

# the identity and the origin: whatever is cut or spoiled, one whole copy remains once there were two
slots = Slots("value")
for value in (b"first", b"second", b"third"):
    slots.save(value)
    assert Slots("value").content == value
kept = {}
for suffix in (".a", ".b"):
    with open("value" + suffix, "rb") as file:
        kept[suffix] = file.read()
for suffix, others in ((".a", b"second"), (".b", b"third")):
    for offset in range(len(kept[suffix])):
        for content in (kept[suffix][:offset], kept[suffix][:offset] + b"\x55" + kept[suffix][offset + 1 :]):
            if content == kept[suffix]:
                continue
            with open("value" + suffix, "wb") as file:
                file.write(content)
            assert Slots("value").content == others, (suffix, offset)
    with open("value" + suffix, "wb") as file:
        file.write(kept[suffix])
print(json.dumps({"cuts": cuts, "spoiled": spoiled}))
