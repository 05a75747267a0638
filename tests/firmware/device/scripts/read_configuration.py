# Reads config.json. Prints what it says, or the one line of complaint.
import json

import configuration

try:
    config = configuration.load("config.json")
    told = {name: getattr(config, name) for name in (
        "community", "meter", "kid", "interval_s", "host", "port", "tls", "user", "password", "hub", "clock", "ntp",
        "wifi", "sensors", "board", "display", "page", "home_assistant", "label_password", "seed", "limits",
        "status_s", "unknown",
    )}  # fmt: skip
    told["key"] = config.key.hex()
    told["topic"] = config.topic("reading")
except configuration.ConfigurationError as error:
    told = str(error)
print(json.dumps(told))
