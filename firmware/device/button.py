"""The button that opens the meter's own access point: the board's own, or the one marked BOOT."""

import asyncio
import gc
import sys

_LOOK_MS = 50
# shorter is noise on a long wire
_HELD_MS = 500
_PORTAL = ("portal", "portal_page", "portal_en", "portal_ko", "captive", "enrol", "staged", "https", "web", "headers")


def pin(number: "int | None" = None):
    """Of a board that is not known, the strapping pin that boards put on theirs: 9 on the ESP32-C3, 0 on the others."""
    from machine import Pin

    if number is None:
        number = 9 if "C3" in getattr(sys.implementation, "_machine", "") else 0
    return Pin(number, Pin.IN, Pin.PULL_UP)


async def pressed(contact=None) -> None:
    """Returns when it has been held for half a second."""
    contact = contact or pin()
    held_ms = 0
    while held_ms < _HELD_MS:
        await asyncio.sleep_ms(_LOOK_MS)
        held_ms = 0 if contact.value() else held_ms + _LOOK_MS


async def watch(radio, restart, number: "int | None" = None) -> None:
    """Beside the running meter: opens the window at each press, and calls `restart()` once something new is staged."""
    try:
        contact = pin(number)
    except ImportError:
        # not a board
        return
    while True:
        await pressed(contact)
        try:
            if await _open(radio):
                restart()
        except (OSError, MemoryError) as error:
            sys.print_exception(error)  # type: ignore
        # none of it stays in memory
        for name in _PORTAL:
            sys.modules.pop(name, None)
        gc.collect()


async def _open(radio) -> bool:
    gc.collect()
    import portal

    return await portal.Window(radio).open()
