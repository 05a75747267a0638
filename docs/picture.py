"""The README's picture: python docs/picture.py OUT.png

Runs the demo for two simulated days and a half, takes the page's picture with Chromium and ends the demo.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from dashboard.screenshot import screenshot

DAYS = 2 + 57 / 96


def main() -> None:
    out = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "market.commands", "demo", "--store", f"{folder}/demo", "--port", "0"]
        demo = subprocess.Popen(
            [*command, "--days", str(DAYS), "--speed", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert demo.stdout is not None
            for line in demo.stdout:
                found = re.search(r"the days are over.*(http://localhost:\d+)", line)
                if found:
                    screenshot(found[1], out)
                    return
            sys.exit("the demo ended before its days were over")
        finally:
            demo.terminate()
            demo.wait(10)


if __name__ == "__main__":
    main()
