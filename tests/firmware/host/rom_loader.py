"""A scripted ESP32-S3 boot loader behind a pseudo-terminal: enough of Espressif's serial protocol for esptool.

The protocol: frames in SLIP (RFC 1055), commands and answers as in Espressif's "Serial Protocol" page of esptool. The
loader takes the stub that esptool uploads without running it and then answers as the stub does. Its flash is an array.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import struct
import threading
import zlib

CHIP_ID = 9
FLASH_BYTES = 16 * 2**20
END, ESCAPE = 0xC0, 0xDB
SYNC, READ_REG, MEM_END, SECURITY_INFO = 0x08, 0x0A, 0x06, 0x14
FLASH_DEFL_BEGIN, FLASH_DEFL_DATA, FLASH_DEFL_END, FLASH_MD5, ERASE_FLASH = 0x10, 0x11, 0x12, 0x13, 0xD0
FLASH_BEGIN, FLASH_DATA = 0x02, 0x03
CTRL_C = 0x03
ROM_SAYS = 0x20120707
REGISTERS = {
    0x60002058: 0x1840EF,  # what the flash chip says of itself: 16 MiB
}


class RomLoader:
    """`silent` makes a board that is not in boot mode; `commands` are those that came, in order."""

    def __init__(self, *, silent: bool = False) -> None:
        self.flash = bytearray(b"\x00" * FLASH_BYTES)
        self.erased = self.written = False
        self.commands: list[int] = []
        self._silent = silent
        self._stub = False
        self._offset = 0
        self._inflate = zlib.decompressobj()
        self._wire = -1

    def serve(self, wire: int, ending: threading.Event) -> None:
        """Answer on this terminal until an image has been written and what comes is no frame: Ctrl-C, to a REPL."""
        self._wire = wire
        frame: bytearray | None = None
        escaped = False
        while not ending.is_set():
            ready, _, _ = select.select([wire], [], [], 0.1)
            for byte in os.read(wire, 4096) if ready else b"":
                if byte == END:
                    if frame:
                        self._handle(bytes(frame))
                        frame = None
                    else:
                        frame = bytearray()
                elif frame is None:
                    if self.written and byte == CTRL_C:
                        return
                elif byte == ESCAPE:
                    escaped = True
                elif escaped:
                    frame.append({0xDC: END, 0xDD: ESCAPE}[byte])
                    escaped = False
                else:
                    frame.append(byte)

    def _handle(self, frame: bytes) -> None:
        if self._silent or len(frame) < 8 or frame[0] != 0:
            return
        operation, size = frame[1], struct.unpack_from("<H", frame, 2)[0]
        data = frame[8 : 8 + size]
        self.commands.append(operation)
        if operation == SYNC:
            for _ in range(8):  # the ROM answers a sync eight times, and shows by a value that it is not the stub
                self._answer(operation, value=0 if self._stub else ROM_SAYS)
        elif operation == READ_REG:
            (address,) = struct.unpack("<I", data)
            self._answer(operation, value=REGISTERS.get(address, 0))
        elif operation == SECURITY_INFO:
            self._answer(operation, struct.pack("<IB7sII", 0, 0, bytes(7), CHIP_ID, 0))
        elif operation == MEM_END:
            self._answer(operation)
            self._stub = True
            self._send(b"OHAI")
        elif operation == ERASE_FLASH:
            self.flash[:] = b"\xff" * FLASH_BYTES
            self.erased = True
            self._answer(operation)
        elif operation in (FLASH_BEGIN, FLASH_DEFL_BEGIN):
            self._offset = struct.unpack_from("<IIII", data)[3]
            self._inflate = zlib.decompressobj()
            self._answer(operation)
        elif operation == FLASH_DEFL_DATA:
            (length,) = struct.unpack_from("<I", data)
            self._write(self._inflate.decompress(data[16 : 16 + length]))
            self._answer(operation)
        elif operation == FLASH_DATA:
            (length,) = struct.unpack_from("<I", data)
            self._write(data[16 : 16 + length])
            self._answer(operation)
        elif operation == FLASH_MD5:
            self.written = True
            address, length = struct.unpack_from("<II", data)
            self._answer(operation, hashlib.md5(self.flash[address : address + length]).digest())
        else:
            self._answer(operation)

    def _write(self, content: bytes) -> None:
        self.flash[self._offset : self._offset + len(content)] = content
        self._offset += len(content)

    def _answer(self, operation: int, data: bytes = b"", value: int = 0) -> None:
        body = data + bytes(2 if self._stub else 4)
        self._send(struct.pack("<BBHI", 1, operation, len(body), value) + body)

    def _send(self, frame: bytes) -> None:
        coded = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        with contextlib.suppress(OSError):
            os.write(self._wire, b"\xc0" + coded + b"\xc0")
