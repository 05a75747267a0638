"""Every page has its picture, every picture is shown, and together they stay small."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.dashboard.signed import People

DOCS = Path(__file__).resolve().parents[2] / "docs"
MOST_BYTES = 2_000_000
NO_PAGES = {"/start", "/language", "/household/{household}/live", "/verifier.html"}
"""They lead elsewhere, are part of another page, or a file to keep."""


@pytest.fixture(scope="module")
def picture() -> Iterator[ModuleType]:
    """docs/picture.py."""
    found = importlib.util.spec_from_file_location("picture", DOCS / "picture.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    # Its dataclasses look their module up.
    sys.modules["picture"] = module
    found.loader.exec_module(module)
    yield module
    del sys.modules["picture"]


def test_every_page_has_a_picture(people: People, picture: ModuleType) -> None:
    places = {"start": "1468411200", "invitation": "/invitation/" + "x" * 43, "export_wh": "1"}
    taken = [each.path.format(**places).partition("?")[0] for each in (*picture.PICTURES, *picture.LEAVING)]
    pages = [
        path
        for path, methods in people.app.openapi()["paths"].items()
        if "text/html" in methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
    ]
    assert len(pages) > 30
    missing = [
        page
        for page in pages
        if page not in NO_PAGES and not any(re.fullmatch(re.sub(r"{\w+}", "[^/]+", page), path) for path in taken)
    ]
    assert missing == []


def test_every_picture_is_there_and_shown(picture: ModuleType) -> None:
    every = (*picture.PICTURES, *picture.LEAVING, *picture.JOINED)
    names = {f"all/{each.name}.webp" for each in every}
    names |= {f"{each.name}.webp" for each in every if each.large is not None}
    files = {str(path.relative_to(DOCS / "pages")): path.stat().st_size for path in DOCS.glob("pages/**/*.*")}
    assert set(files) == names
    shown = set(re.findall(r"pages/([a-z/-]+\.webp)", (DOCS / "dashboard.md").read_text()))
    assert shown == names
    assert sum(files.values()) < MOST_BYTES
