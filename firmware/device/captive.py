"""Answers every question for a name with one address, so that a phone that joined finds the page (DNS, RFC 1035)."""

import asyncio
import socket

PORT = 53
_LOOK_MS = 40
_PACKET_MOST = 512
_TTL_S = 30
_A = 1
_IN = 1


async def answer_all(address: str, port: int = PORT) -> None:
    """Until cancelled. Raises OSError when the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(socket.getaddrinfo(address, port, 0, socket.SOCK_DGRAM)[0][-1])
        listening.setblocking(False)
        ip = bytes(int(part) for part in address.split("."))
        while True:
            try:
                question, sender = listening.recvfrom(_PACKET_MOST)
            except OSError:
                # nothing there
                await asyncio.sleep_ms(_LOOK_MS)
                continue
            reply = answer(question, ip)
            if reply is not None:
                try:
                    listening.sendto(reply, sender)
                except OSError:
                    # whoever asked has gone
                    continue
    finally:
        listening.close()


def answer(question: bytes, ip: bytes) -> "bytes | None":
    """The reply to one packet; None for what is not one plain question. Types other than A get an empty answer."""
    if len(question) < 17 or len(question) > _PACKET_MOST or question[2] & 0xF8 or question[4:6] != b"\0\x01":
        return None
    end = 12
    while question[end]:
        if question[end] > 63:
            return None
        end += question[end] + 1
        if end + 5 > len(question):
            return None
    end += 5
    kind = question[end - 4] << 8 | question[end - 3]
    known = kind == _A and question[end - 2] << 8 | question[end - 1] == _IN
    # a response, authoritative, recursion as desired and available
    head = question[:2] + bytes((0x84 | question[2] & 1, 0x80, 0, 1, 0, 1 if known else 0, 0, 0, 0, 0))
    if not known:
        return head + question[12:end]
    return head + question[12:end] + b"\xc0\x0c\0\x01\0\x01" + bytes((0, 0, 0, _TTL_S, 0, 4)) + ip
