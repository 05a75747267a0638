"""What README and docs tell people to type is there, and the Python they show runs.

The long commands (``make demo``, ``make test``) are run by the end-to-end tests and by CI; here every
line is held against the real command line, Makefile and modules.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from market.commands.main import parser

ROOT = Path(__file__).parents[1]
OURS = re.compile(r"(make|\.venv/bin/pumasi|pumasi|(\.venv/bin/)?python -m)\b")
PAGES = [ROOT / "README.md", ROOT / "README.ko.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def typed() -> list[tuple[str, str]]:
    """(page, command line) of every indented or fenced line that begins like a command of ours."""
    found = []
    for page in PAGES:
        fenced = False
        for line in page.read_text().splitlines():
            if line.startswith("```"):
                fenced = not fenced
            if fenced or line.startswith("    "):
                text = line.split("#")[0].split(" > ")[0].strip()
                parts = [part.strip() for part in text.split("&&")]
                found.extend((page.name, part) for part in parts if OURS.match(part))
    return found


@pytest.mark.parametrize(("page", "line"), typed())
def test_every_command_that_is_shown_exists(page: str, line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif words[0].endswith("pumasi"):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                parser().parse_args(words[1:])
            except SystemExit:
                pytest.fail(f"{page}: {line}: {said.getvalue()}")
    elif words[2] != "pytest":
        done = subprocess.run([sys.executable, "-m", words[2], "--help"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_that_is_shown_runs(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        subprocess.run([sys.executable, "-c", block], cwd=ROOT, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
