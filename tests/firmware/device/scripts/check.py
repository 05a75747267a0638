# The self-test's single checks. `cases.json` is a list of [check, arguments]; prints the rows of each, and what a
# certificate says. Views are [role, power_w, voltage_mv, flags, age_s, error]; a null power stands for no sample.
import json

import certificate
import configuration
import selftest
import selftest_en
from intervals import View
from sensors.sensor import Sample


class Thing:
    def __init__(self, fields):
        for name in fields:
            setattr(self, name, fields[name])

    def __len__(self):
        return self.waiting


def view(role, power_w, voltage_mv=(), flags=(), age_s=1, error=None):
    sample = (
        None if power_w is None else Sample((0, 0, 0, None), tuple(power_w), tuple(voltage_mv), (), tuple(flags), 0)
    )
    return View(role, "sdm", sample, age_s, error)


def run(check, arguments):
    if check == "sensors":
        return selftest.sensors([view(*entry) for entry in arguments])
    if check == "clock":
        return [selftest.clock(Thing(arguments))]
    if check == "outbox":
        return [selftest.outbox(None if arguments is None else Thing(arguments))]
    if check == "certificate":
        return [selftest.certificate(configuration.load("config.json"), arguments)]
    return [getattr(selftest, check)(*arguments)]


with open("cases.json") as file:
    cases = json.load(file)
found = []
for check, arguments in cases:
    if check == "read":
        with open(arguments, "rb") as file:
            der = file.read()
        for cut in range(len(der)):
            try:
                certificate.read(der[:cut])
            except ValueError:
                continue
        found.append(list(certificate.read(der)))
    else:
        rows = selftest.rows(run(check, arguments), selftest_en.SAYS)
        found.append([[row["check"], row["level"], row["ok"], row["says"]] for row in rows])
print(json.dumps(found))
