"""What the meter says and hears, as bytes. Nothing here knows a network or a file."""

import json

from configuration import Configuration
from mac import sign, verify
from outbox import Record

# the distribution's: a meter takes only a higher one
VERSION = "0.2.0"

# bit n of a record's flags is the n-th name
FLAGS = ("reset", "estimated", "clock", "simulated")

MESSAGE_BYTES = 1024
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


def status(members: dict) -> bytes:
    """The retained status of a meter that is online. Texts of sensors give way when it would be too long."""
    told = {"v": 1, "online": True}
    told.update(members)
    payload = json.dumps(told).encode()
    if len(payload) > MESSAGE_BYTES:
        told.pop("sensors", None)
        payload = json.dumps(told).encode()
    return payload


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
