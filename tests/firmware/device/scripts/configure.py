# Hears config messages. Argument: a file with a JSON list of steps: a payload, or "boot" (read everything from flash
# again), "full" (the flash takes nothing from now on), "provision" (config.json gets a new kid and key). Prints what
# the meter is after each step.
import json
import sys

import configuration
import slots
from remote import Remote

TOPIC = "pumasi/1/rural3/m001/config"
fields = {
    "version": 1, "community": "rural3", "meter": "m001", "kid": 1, "key": "00" * 31 + "01", "interval_s": 900,
    "broker": {"host": "127.0.0.1", "port": 1}, "clock": "conductor",
    "sensors": [{"role": "grid", "driver": "simulated", "profile": "profile.txt"}],
}  # fmt: skip


class Full(slots.Slots):
    def save(self, content):
        raise OSError(28)


def boot(kind=slots.Slots):
    config = configuration.Configuration(json.loads(json.dumps(fields)))
    return config, Remote(config, kind("settings"))


changes = 0


def changed():
    global changes
    changes += 1


config, remote = boot()
told = []
with open(sys.argv[1]) as file:
    steps = json.load(file)
for step in steps:
    error = None
    if step == "boot":
        config, remote = boot()
    elif step == "full":
        config, remote = boot(Full)
    elif step == "provision":
        fields["kid"] = 7
        fields["key"] = "77" * 32
        config, remote = boot()
    else:
        remote.on_change = changed
        before = changes
        try:
            remote.hear(TOPIC, step.encode())
        except OSError as caught:
            error = caught.errno
    told.append(
        {
            "kid": config.kid, "key": config.key.hex(), "version": remote.version, "interval_s": config.interval_s,
            "limits": config.limits, "home_assistant": config.home_assistant, "sensors": config.sensors,
            "offer": remote.offer, "restart": remote.restart, "refused": dict(remote.refused), "error": error,
            "changes": changes,
        }
    )  # fmt: skip
print(json.dumps(told))
