# A board's flash in memory, under a real littlefs. It can lose power at, in or after any of its operations.

BLOCK_BYTES = 4096


class Flash:
    """Loses power in the middle of operation number `cut`, `quarters` of it done; -1 never does."""

    def __init__(self, cells, cut=-1, quarters=2):
        self.cells = cells
        self.cut = cut
        self.quarters = quarters
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
            return len(self.cells) // BLOCK_BYTES
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            self.change(argument * BLOCK_BYTES, b"\xff" * BLOCK_BYTES)
            return 0
        return 0

    def change(self, at, content):
        if self.cut >= 0 and self.operations >= self.cut:
            if self.operations == self.cut:
                part = len(content) * self.quarters // 4
                self.cells[at : at + part] = bytes(content[:part])
            self.operations += 1
            raise OSError(5)
        self.operations += 1
        self.cells[at : at + len(content)] = content


def empty(blocks):
    return bytearray(b"\xff" * (BLOCK_BYTES * blocks))
