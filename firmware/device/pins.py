"""Which pins a board's connectors use: `pins.json` beside the firmware, the file that the schematic is made from.

A board has `button`, `led`, `ports` (a connector's settings, under the names the drivers ask for) and `drivers` (the
ports at which each can be, the usual one first).
"""

import json
import sys

from configuration import ConfigurationError

FILE = "pins.json"


def load(name: str) -> dict:
    """The board of that name. Raises ConfigurationError."""
    for place in sys.path:
        try:
            with open((place + "/" if place else "") + FILE) as file:
                boards = json.load(file)
        except OSError:
            continue
        if name not in boards:
            raise ConfigurationError("board: '%s' is none of %s" % (name, ", ".join(sorted(boards))))
        return boards[name]
    raise ConfigurationError("board: '%s': this firmware has no %s" % (name, FILE))


def port(board: dict, driver: str, chosen: "str | None" = None) -> dict:
    """The settings of the port `chosen` for the driver, or of its usual one. Raises ConfigurationError."""
    names = board["drivers"].get(driver)
    if names is None:
        raise ConfigurationError("driver: this board has no connector for '%s'; name its pins" % driver)
    if chosen is None:
        chosen = names[0]
    if chosen not in names:
        raise ConfigurationError("port: '%s' is none of %s" % (chosen, ", ".join(names)))
    return board["ports"][chosen]
