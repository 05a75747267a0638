"""The Korean README says the same: the same commands, the same code, the same links and pictures, the same order."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENGLISH, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")
OTHER = {"README.md", "README.ko.md"}
"""Each leads to the other."""


def blocks(path: Path) -> list[str]:
    """Every fenced block and every run of indented lines, comments included."""
    found: list[list[str]] = []
    fenced = within = False
    for line in path.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        if fence or fenced or line.startswith("    "):
            if not within:
                found.append([])
            found[-1].append(line)
        within = fence or fenced or line.startswith("    ")
        if fence:
            fenced = not fenced
    return ["\n".join(block) for block in found]


def test_both_show_the_same_commands_and_code() -> None:
    assert len(blocks(ENGLISH)) > 10
    assert blocks(KOREAN) == blocks(ENGLISH)


def test_both_have_the_same_sections_tables_and_points() -> None:
    for sign in (r"#+ ", r"\| ", r"- "):
        count = [
            len(re.findall(rf"^{sign}", path.read_text(encoding="utf-8"), re.MULTILINE)) for path in (ENGLISH, KOREAN)
        ]
        assert count[0] == count[1], f"{sign!r}: {count}"


def test_both_lead_to_the_same_places() -> None:
    links = [sorted(set(LINK.findall(path.read_text(encoding="utf-8"))) - OTHER) for path in (ENGLISH, KOREAN)]
    assert links[0] == links[1]
    assert all((ROOT / link.partition("#")[0]).exists() for link in links[1] if "://" not in link)


def test_it_is_korean() -> None:
    """Apart from commands, names and code, no paragraph was left in English."""
    text = re.sub(r"```.*?```", "", KOREAN.read_text(encoding="utf-8"), flags=re.DOTALL)
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.strip() and not paragraph.startswith("    "):
            assert re.search(r"[가-힣]", paragraph) or "README.md" in paragraph, paragraph
