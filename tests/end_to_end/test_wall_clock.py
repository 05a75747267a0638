"""A street in real time: firmware on its own clock, ``pumasi market run`` on the machine's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from broker.keys import derive_key, master_key
from firmware.host.community import community_document
from firmware.host.fleet import Identity, make_flash, meter_command, unix_port
from firmware.host.street import load_street, with_homes
from market.record import Record
from market.service.market import MASTER_KEY_FILE
from tests.servers import MosquittoServer

INTERVAL_S = 5
STREET = with_homes(load_street(), 2)


@pytest.fixture
def meters(tmp_path: Path, mosquitto: MosquittoServer) -> Iterator[list[subprocess.Popen[bytes]]]:
    port = unix_port()
    if port is None:
        pytest.skip("the MicroPython unix port has no wheel for this machine")
    store = tmp_path / "store"
    store.mkdir()
    master = master_key(store / MASTER_KEY_FILE)
    with ExitStack() as stack:
        started = []
        for home in STREET.homes:
            flash = tmp_path / home.meter
            identity = Identity("c", home.meter, 1, derive_key(master, "c", home.meter, 1), "unused")
            make_flash(flash, identity, home, STREET, mosquitto.host, mosquitto.port)
            config = json.loads((flash / "config.json").read_text())
            (flash / "config.json").write_text(
                json.dumps(config | {"clock": "ntp", "ntp": [], "interval_s": INTERVAL_S})
            )
            log = stack.enter_context((flash / "log").open("wb"))
            process = subprocess.Popen(meter_command(port), cwd=flash, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append(process)
        yield started


def test_intervals_close_on_the_real_clock(
    tmp_path: Path, mosquitto: MosquittoServer, meters: list[subprocess.Popen[bytes]]
) -> None:
    now = int(time.time())
    document = community_document(STREET, "c") | {"interval_s": INTERVAL_S}
    for member in document["members"]:
        member["meters"][0]["since"] = now - now % INTERVAL_S
    community = tmp_path / "community.json"
    community.write_text(json.dumps(document))
    command = [sys.executable, "-m", "market.commands", "market", "run", "--store", str(tmp_path / "store")]
    command += ["--community", str(community), "--broker", f"{mosquitto.host}:{mosquitto.port}", "--grace", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as market:
        assert market.stdout is not None
        deadline_s = time.monotonic() + 60
        heard = 0
        for line in market.stdout:
            heard += "heard 2/2" in line
            assert time.monotonic() < deadline_s, line
            if heard == 3:
                break
        second = subprocess.run(command, capture_output=True, text=True, timeout=20)
        market.send_signal(signal.SIGINT)
        assert market.wait(5) == 0
    assert second.returncode == 2
    assert "another market is running here already" in second.stderr
    record = Record(tmp_path / "store", read_only=True)
    starts = [gate.start for gate in record.gates() if gate.revision == 0]
    record.close()
    assert starts == list(range(starts[0], starts[-1] + 1, INTERVAL_S))
    assert starts[-1] + INTERVAL_S <= time.time()
    assert all(meter.poll() is None for meter in meters)
