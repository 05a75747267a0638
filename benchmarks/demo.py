"""The whole path: from a gate's closure to the page that shows it, and the memory of everything together.

    python -m benchmarks.demo [--homes 12] [--intervals 60] [--speed 0.5]

Runs ``pumasi demo`` and opens a page's event stream. Compared in the same run with the time that
fetching the same page takes by itself: what is above it is the way through commit, series and event.
"""

from __future__ import annotations

import argparse
import http.client
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import psutil

LINE = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d) .*http://localhost:(\d+)")
HOUSEHOLD = "h001"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--homes", type=int, default=12)
    parser.add_argument("--intervals", type=int, default=60)
    parser.add_argument("--speed", type=float, default=0.5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "market.commands", "demo", "--store", f"{store}/demo", "--port", "0", "--exit"]
        command += ["--homes", str(arguments.homes), "--days", str(arguments.intervals / 96)]
        demo = subprocess.Popen([*command, "--speed", str(arguments.speed)], stdout=subprocess.PIPE, text=True)
        try:
            _measure(demo)
        finally:
            demo.terminate()
            demo.wait(10)


def _measure(demo: subprocess.Popen[str]) -> None:
    closed_s: dict[str, float] = {}
    shown_s: dict[str, float] = {}
    plain_s: list[float] = []
    memory: dict[str, list[int]] = {}
    assert demo.stdout is not None
    for line in demo.stdout:
        found = LINE.search(line)
        if not found:
            continue
        closed_s[found[1]] = time.monotonic()
        if len(closed_s) == 1:
            threading.Thread(target=_watch, args=(int(found[3]), shown_s, plain_s), daemon=True).start()
        if len(closed_s) == 20:
            memory = _memory(demo.pid)
    delays = sorted(1000 * (shown_s[at] - closed_s[at]) for at in closed_s.keys() & shown_s.keys())
    fetches = sorted(1000 * took for took in plain_s)
    print(f"{len(delays)} intervals: terminal line of the gate's closure to the page's new figures fetched")
    print(f"  p50 {statistics.median(delays):6.0f} ms   p99 {delays[int(0.99 * (len(delays) - 1))]:6.0f} ms")
    print("fetching the same fragment by itself")
    print(f"  p50 {statistics.median(fetches):6.0f} ms   p99 {fetches[int(0.99 * (len(fetches) - 1))]:6.0f} ms")
    print("resident memory [MB]: processes, sum of RSS, sum of PSS (shared pages counted once)")
    for name, values in (*memory.items(), ("all", [sum(column) for column in zip(*memory.values(), strict=True)])):
        count, rss, pss = values
        print(f"  {name:10} {count:4}  {rss / 1e6:8.1f}  {pss / 1e6:8.1f}")


def _watch(port: int, shown_s: dict[str, float], plain_s: list[float]) -> None:
    """Follow the event stream; after every change fetch the live fragment and note what interval it shows."""
    stream = http.client.HTTPConnection("127.0.0.1", port)
    stream.request("GET", f"/household/{HOUSEHOLD}/events")
    response = stream.getresponse()
    page = http.client.HTTPConnection("127.0.0.1", port)
    while line := response.readline():
        if not line.startswith(b"event:"):
            continue
        for number in range(2):
            began_s = time.monotonic()
            page.request("GET", f"/household/{HOUSEHOLD}/live")
            text = page.getresponse().read().decode()
            ended_s = time.monotonic()
            found = re.search(r"(\d\d:\d\d)\u2013\d\d:\d\d", text)
            if number == 0 and found:
                shown_s.setdefault(found[1], ended_s)
            elif number == 1:
                plain_s.append(ended_s - began_s)


def _memory(pid: int) -> dict[str, list[int]]:
    """Kind of process -> [count, RSS, PSS in bytes]."""
    found: dict[str, list[int]] = {}
    demo = psutil.Process(pid)
    for process in (demo, *demo.children(recursive=True)):
        words = " ".join(process.cmdline())
        kinds = {"device": "meters", "mosquitto": "broker", "dashboard": "dashboard", "market run": "market"}
        kind = next((kind for part, kind in kinds.items() if part in words), "conductor")
        info = process.memory_full_info()
        row = found.setdefault(kind, [0, 0, 0])
        for i, value in enumerate((1, info.rss, info.pss)):
            row[i] += value
    return found


if __name__ == "__main__":
    main()
