# The radio's two roles with a stand-in for the hardware. Prints what each step came to.
import asyncio
import json

import network
import wifi

wifi.JOIN_TIMEOUT_MS = 100
wifi._STEP_MS = 10
wifi._RESTART_MS = 1


async def outcome(work):
    try:
        return await work
    except wifi.WifiError as error:
        return [error.code, str(error)]
    except ValueError as error:
        return str(error)


async def fails():
    raise ValueError("the hub is away")


async def works():
    return "enrolled"


async def run():
    radio = wifi.Wifi("Home", "correct horse", "pumasi-m001")
    steps = [radio.rssi_dbm(), radio.address()]
    steps.append(await outcome(radio.ensure()))
    steps += [radio.rssi_dbm(), radio.address(), await radio.networks()]
    # another network that does not work out: back to the old one
    steps.append(await outcome(radio.attempt("Nowhere", "12345678", works)))
    steps.append(await outcome(radio.attempt("Caf\u00e9 <1>", None, fails)))
    steps += [radio.ssid, await outcome(radio.ensure())]
    steps.append([entry for entry in network.told if entry[0] == "connect"][-1])
    # and one that does
    steps += [await outcome(radio.attempt("Caf\u00e9 <1>", None, works)), radio.ssid]
    network.told.clear()
    steps += [await outcome(radio.ensure(True)), list(network.told)]
    # whoever else joins waits for the attempt
    slow = asyncio.create_task(outcome(radio.attempt("Home", "wrong", works)))
    await asyncio.sleep_ms(20)
    steps += [await outcome(radio.ensure()), await slow, radio.ssid]
    steps.append(await outcome(wifi.Wifi(None, None).ensure()))
    # a meter's name may have 32 letters
    network.told.clear()
    steps += [await outcome(wifi.Wifi("Home", "correct horse", "pumasi-" + 32 * "m").ensure()), network.told[0]]
    return steps


print(json.dumps(asyncio.run(run())))
