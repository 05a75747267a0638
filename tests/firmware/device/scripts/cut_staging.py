# Cuts the power at each single operation on the flash, while an enrolment is staged and while it is put in place, and
# then boots. Prints which files were found at each boot: "old", "new", or what is wrong.
import json
import os

import staged

NAMES = ("ca.der", "client.der", "client.key.der", "config.json")
OPERATIONS = ("rename", "remove", "rmdir")


class PowerCutError(Exception):
    """The power is gone; nothing catches this on its way."""


class Flash:
    """The operations of `os` and `open` that change something, cut at one of them."""

    def __init__(self, at):
        self.left = at

    def count(self):
        self.left -= 1
        if self.left < 0:
            raise PowerCutError

    def write(self, path, content):
        write(path, content, self)

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in OPERATIONS:
            return real

        def counted(*arguments):
            self.count()
            return real(*arguments)

        return counted


def write(path, content, flash=None):
    if flash is not None:
        flash.count()
    with open(path, "wb") as file:
        if flash is not None:
            # half of it is there when the power goes
            file.write(content[: len(content) // 2])
            file.flush()
            flash.count()
            file.write(content[len(content) // 2 :])
        else:
            file.write(content)


def clean():
    for name in os.listdir("."):
        if name == "outbox":
            for entry in os.listdir(name):
                os.remove(name + "/" + entry)
            os.rmdir(name)
        else:
            os.remove(name)


def boot():
    """What main does, and what it finds then."""
    staged.os = os
    staged._write = write
    staged.finish()
    contents = set()
    for name in NAMES:
        with open(name, "rb") as file:
            contents.add(str(file.read(), "utf-8").rstrip("."))
    outbox = "outbox" in os.listdir(".")
    if contents == {"old"}:
        return "old" if outbox else "old, but the outbox is gone"
    if contents == {"new"}:
        return "new" if not outbox else "new, with the outbox of another"
    return "mixed: " + ", ".join(sorted(contents))


os.mkdir("flash")
os.chdir("flash")
found = []
at = 0
while True:
    clean()
    for name in NAMES:
        write(name, b"old.......")
    os.mkdir("outbox")
    write("outbox/00000000.seg", b"records")
    write("outbox/identity.a", b"identity")
    flash = Flash(at)
    staged.os = flash
    staged._write = flash.write
    try:
        staged.stage(dict.fromkeys(NAMES, b"new......."), True)
        staged.finish()
        ended = True
    except PowerCutError:
        ended = False
    found.append(boot())
    left = sorted(name for name in os.listdir(".") if name not in NAMES and name != "outbox")
    if ended:
        found.append(left)
        break
    at += 1
print(json.dumps(found))
