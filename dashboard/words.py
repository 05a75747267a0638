"""What the pages say, in their languages: ``words/<language>/<area>.json``, flat keys, values filled in by name.

A key is named after its area: ``household.now.selling``. Where a count decides the form there is one key for each,
ending in ``.one`` and ``.other``, chosen by ``n``; Korean has one form only, under ``.other``.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

LANGUAGES = {"en": "English", "ko": "한국어"}
"""By their own names."""
FIRST_LANGUAGE = "en"


@cache
def words(language: str) -> dict[str, str]:
    """Every text by its key. Raises ValueError for a key that two areas have, or that is not named after its area."""
    found: dict[str, str] = {}
    for path in sorted(files("dashboard").joinpath("words", language).iterdir(), key=lambda path: path.name):
        area = path.name.removesuffix(".json")
        for key, text in json.loads(path.read_text(encoding="utf-8")).items():
            if not key.startswith(f"{area}."):
                raise ValueError(f"{path}: {key} is not named after its area, {area}")
            found[key] = text
    return found


def say(language: str, key: str, *, n: int | None = None, **values: object) -> str:
    """The text of ``key``; with ``n`` the form for that many, which it may also name as {n}. KeyError when unknown."""
    known = words(language)
    if n is None:
        return known[key].format(**values)
    form = f"{key}.one" if n == 1 and f"{key}.one" in known else f"{key}.other"
    return known[form].format(n=n, **values)


def problem(language: str, name: str, area: str = "") -> str | None:
    """What a page says of a named problem (``<area>.problem.<name>``): its own area, else any; None when none does."""
    known = words(language)
    own = known.get(f"{area}.problem.{name}")
    return own or next((known[key] for key in known if key.endswith(f".problem.{name}")), None)


def action(language: str, name: str) -> str:
    """What the log's readers are told of an action (``<area>.action.<name>``); its name where no area says more."""
    known = words(language)
    return next((known[key] for key in known if key.endswith(f".action.{name}")), name)


def choose(accepted: str) -> str:
    """The language of a reader who accepts these (Accept-Language, RFC 9110 section 12.5.4)."""
    best, best_weight = FIRST_LANGUAGE, 0.0
    for part in accepted[:1000].split(","):
        name, _, weight = part.strip().partition(";q=")
        language = name.strip().partition("-")[0].lower()
        try:
            found = float(weight) if weight else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and found > best_weight:
            best, best_weight = language, found
    return best
