"""What a bill says, in its languages: the texts of ``texts/``, whose placeholders are filled by name."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "ko")


@cache
def words(language: str) -> dict[str, str]:
    """Every text of the bill by its word."""
    found: dict[str, str] = json.loads(
        files("market.statements").joinpath("texts", f"{language}.json").read_text(encoding="utf-8")
    )
    return found


def say(language: str, word: str, **values: object) -> str:
    """The text for a word of the bill."""
    return words(language)[word].format(**values)
