"""Tells Home Assistant of the meter: retained discovery messages, one for each register.

The members are those of Home Assistant's MQTT sensor (home-assistant.io/integrations/sensor.mqtt) and of its discovery
messages (home-assistant.io/integrations/mqtt). Its energy dashboard takes any sensor of device class `energy` and state
class `total_increasing`.
"""

import json

from messages import VERSION

_REGISTERS = (
    ("import_wh", "Import", "mdi:transmission-tower-export"),
    ("export_wh", "Export", "mdi:transmission-tower-import"),
    ("generation_wh", "Generation", "mdi:solar-power"),
    ("consumption_wh", "Consumption", "mdi:home-lightning-bolt"),
)


def messages(configuration):
    """Yields (topic, payload); each payload is below 1 KiB. One at a time, as they are larger than a reading."""
    identity = configuration.community + "_" + configuration.meter
    for register, name, icon in _REGISTERS:
        yield (
            "homeassistant/sensor/%s/%s/config" % (identity, register),
            json.dumps(_sensor(configuration, identity, register, name, icon)).encode(),
        )


def _sensor(configuration, identity: str, register: str, name: str, icon: str) -> dict:
    return {
        "name": name,
        "unique_id": "pumasi_%s_%s" % (identity, register),
        "icon": icon,
        "device_class": "energy",
        "state_class": "total_increasing",
        "unit_of_measurement": "Wh",
        "state_topic": configuration.topic("reading"),
        "value_template": "{{ value_json.%s }}" % register,
        "availability_topic": configuration.topic("status"),
        "availability_template": "{{ 'online' if value_json.online else 'offline' }}",
        "device": {
            "identifiers": ["pumasi_" + identity],
            "name": "Meter " + configuration.meter,
            "manufacturer": "Pumasi",
            "model": configuration.board or "meter",
            "sw_version": VERSION,
        },
        "origin": {"name": "pumasi", "sw_version": VERSION},
    }
