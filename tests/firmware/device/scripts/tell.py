# How long the topics and payloads for Home Assistant are.
import json

import configuration
import discovery

messages = discovery.messages(configuration.load("config.json"))
print(json.dumps([[len(topic), len(payload)] for topic, payload in messages]))
