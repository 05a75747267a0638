"""What the meter says and hears, as bytes. Nothing here knows a network or a file."""

import json

from configuration import Configuration
from mac import sign, verify
from outbox import Record

VERSION = "0.1.0"

# bit n of a record's flags is the n-th name
FLAGS = ("reset", "estimated", "clock", "simulated")
RESET = 1

OFFLINE = b'{"v":1,"online":false}'


def flag_bit(name: str) -> int:
    return 1 << FLAGS.index(name)


def reading(configuration: Configuration, outbox_id: str, first: int, record: Record) -> bytes:
    """The signed reading; registers in whole Wh, rounded down."""
    flags = ",".join('"%s"' % FLAGS[bit] for bit in range(len(FLAGS)) if record.flags >> bit & 1)
    names = ("import_wh", "export_wh", "generation_wh", "consumption_wh")
    registers = ",".join('"%s":%d' % (names[i], record.registers[i] // 1000) for i in range(4))
    body = '{"v":1,"kid":%d,"outbox":"%s","seq":%d,"first":%d,"start":%d,"length":%d,%s,"flags":[%s]' % (
        configuration.kid, outbox_id, record.seq, first, record.start, record.length, registers, flags,
    )  # fmt: skip
    return sign(configuration.key, configuration.topic("reading"), body.encode())


def status(rssi_dbm: "int | None", free_memory: int, waiting: int, dropped: int, clock_error_ms: "int | None") -> bytes:
    """`free_memory` in bytes; `waiting` records are in the outbox, `dropped` were lost before the market had them."""
    return (
        '{"v":1,"online":true,"firmware":"%s","rssi":%s,"free_memory":%d,"outbox":%d,"dropped":%d,"clock_error_ms":%s}'
        % (VERSION, _or_null(rssi_dbm), free_memory, waiting, dropped, _or_null(clock_error_ms))
    ).encode()


def _or_null(value: "int | None") -> str:
    return "null" if value is None else str(value)


def acknowledged(configuration: Configuration, outbox_id: str, payload: bytes) -> "int | None":
    """The `next` of an authentic ack for this outbox; None for anything else."""
    if not verify(configuration.key, configuration.topic("ack"), payload):
        return None
    try:
        ack = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(ack, dict) or ack.get("kid") != configuration.kid or ack.get("outbox") != outbox_id:
        return None
    next_seq = ack.get("next")
    if type(next_seq) is not int or next_seq < 0:
        return None
    return next_seq
