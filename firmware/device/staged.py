"""Puts several files in place as one: after a power cut at any moment all of them are the old ones or all are the new.

New contents lie beside the old ones as `<name>.new`. The marker `enrolled.new` makes them count: it appears whole, by a
rename, and from then on whoever finds it finishes the work.
"""

import json
import os

from slots import exists

MARKER = "enrolled.new"
OUTBOX = "outbox"
_NEW = ".new"


def stage(files: "dict[str, bytes]", forget: bool) -> None:
    """Durable when it returns, and not yet in place. `forget` also gives up the outbox: it is another meter's.

    Raises OSError; nothing has changed then.
    """
    for name in files:
        _write(name + _NEW, files[name])
    _write("enrolled.tmp", json.dumps({"files": sorted(files), "forget": forget}).encode())
    os.rename("enrolled.tmp", MARKER)


def finish() -> None:
    """Puts in place what was staged; again and again if need be."""
    if not exists(MARKER):
        return
    try:
        with open(MARKER) as file:
            work = json.load(file)
    except ValueError:
        # only worn flash can do this: the old files are whole
        os.remove(MARKER)
        return
    if work["forget"]:
        _remove(OUTBOX)
    for name in work["files"]:
        if exists(name + _NEW):
            os.rename(name + _NEW, name)
    os.remove(MARKER)


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()


def _remove(folder: str) -> None:
    """A folder of files, whichever of them are left."""
    if not exists(folder):
        return
    for entry in list(os.ilistdir(folder)):
        os.remove(folder + "/" + entry[0])
    os.rmdir(folder)
