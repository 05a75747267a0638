"""Every text of the pages stands in both languages, is used, and fits; nothing visible stands anywhere else."""

from __future__ import annotations

import ast
import json
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from dashboard import words

ROOT = Path(__file__).resolve().parents[2] / "dashboard"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
MODULES = sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)
LANGUAGES = list(words.LANGUAGES)
AREAS = sorted(path.stem for path in (ROOT / "words" / "en").glob("*.json"))

SPOKEN_BY_ATTRIBUTE = re.compile(r'\b(alt|title|aria-label|aria-description|placeholder|label)="([^"]*)"')
SAME_EVERYWHERE = {
    "kWh",
    "Wh",
    "kW",
    "W",
    "CSV",
    "PDF",
    "JSON",
    "Parquet",
    "Authorization",
    "Bearer",
    "SHA-256",
    "CO₂",
    "ID",
    "dBm",
    "ms",
}
"""Units and names that are the same in every language."""
FORM = re.compile(r"\.(one|other)$")


def templates() -> Iterator[tuple[Path, nodes.Template]]:
    for path in TEMPLATES:
        yield path, Environment().parse(path.read_text(encoding="utf-8"))


def literals() -> set[str]:
    """Every string that stands in a template, a module or a script."""
    found: set[str] = set()
    for _, tree in templates():
        found.update(constant.value for constant in tree.find_all(nodes.Const) if isinstance(constant.value, str))
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def asked_for() -> Iterator[tuple[str, str, set[str] | None]]:
    """(where, key, names of the values) of every call of t() or say() whose key stands there whole."""
    for path, tree in templates():
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "t" and isinstance(call.args[0], nodes.Const):
                yield str(path), call.args[0].value, {k.key for k in call.kwargs} if not call.dyn_kwargs else None
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            key = node.args[1]
            if name == "say" and isinstance(key, ast.Constant) and isinstance(key.value, str):
                names = {k.arg for k in node.keywords}
                yield str(path), key.value, None if None in names else names  # type: ignore[misc]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def base(key: str) -> str:
    return FORM.sub("", key)


@pytest.mark.parametrize("area", AREAS)
def test_both_languages_say_the_same_things(area: str) -> None:
    said = {
        language: json.loads((ROOT / "words" / language / f"{area}.json").read_text(encoding="utf-8"))
        for language in LANGUAGES
    }
    keys = {language: {base(key) for key in texts} for language, texts in said.items()}
    assert keys["en"] == keys["ko"]
    for language, texts in said.items():
        for key, text in texts.items():
            assert text.strip() == text and text, f"{language}: {key}"
            if FORM.search(key):
                assert f"{base(key)}.other" in texts, f"{language}: {key} has no form for other numbers"
            if key.startswith("site.date."):
                continue  # one language names the month, another counts it
            theirs = [fields(other) for name, other in said["en"].items() if base(name) == base(key)]
            assert fields(text) - {"n"} in [names - {"n"} for names in theirs], f"{language}: {key}: other values"


def test_korean_is_korean() -> None:
    english, korean = words.words("en"), words.words("ko")
    for key, text in korean.items():
        letters = re.sub(r"\{\w+\}", "", text)
        wordless = not re.search(r"[^\W\d_]", letters)
        same = all(word in SAME_EVERYWHERE for word in re.findall(r"[A-Za-z][\w-]*", letters))
        assert re.search(r"[가-힣]", letters) or wordless or same, f"{key}: {text!r}"
        assert not re.search(r"[가-힣]", english[key if key in english else f"{base(key)}.other"]), key


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("망 이용료", "망 요금|전력망 요금|망 이용 요금|망 사용료"),
        ("전력회사", "전력 회사|전기 ?회사|공급자|공급사"),
        ("지시값", "누적값|레지스터"),
        ("우선 거래 이웃", "선호 상대"),
    ],
)
def test_one_thing_has_one_korean_word(word: str, others: str) -> None:
    korean = words.words("ko")
    assert any(word in text for text in korean.values())
    assert {key: text for key, text in korean.items() if re.search(others, text)} == {}


def test_every_text_that_is_asked_for_is_there() -> None:
    for language in LANGUAGES:
        known = words.words(language)
        for where, key, names in asked_for():
            if key.endswith("."):
                continue  # the rest is added
            counted = names is not None and "n" in names and key not in known
            found = f"{key}.other" if counted else key
            assert found in known, f"{where}: {language}: {found} is missing"
            if names is not None:
                missing = fields(known[found]) - names
                assert not missing, f"{where}: {found} needs {missing}"


def test_every_text_is_asked_for() -> None:
    said = literals()
    beginnings = {text for text in said if text.endswith(".") and text.count(".") > 1}
    unused = [
        key
        for key in words.words("en")
        if key not in said
        and base(key) not in said
        and not any(key.startswith(beginning) for beginning in beginnings)
        and not (".problem." in key and key.partition(".problem.")[2] in said)
        and not (".action." in key and key.partition(".action.")[2] in said)
    ]
    assert unused == []


def visible(source: str) -> Iterator[str]:
    """What a reader would see of a template that comes from no text."""
    lexed = Environment(trim_blocks=True, lstrip_blocks=True).lex(source)
    html = "".join(value if kind == "data" else "\x00" for _, kind, value in lexed if kind != "linecomment")
    html = re.sub(r"<(script|style|code|pre)\b.*?</\1>|<!--.*?-->|<!doctype[^>]*>", "", html, flags=re.DOTALL)
    yield from (value for _, value in SPOKEN_BY_ATTRIBUTE.findall(html))
    html = re.sub(r"<[^<>]*>", "\n", html)
    # Attributes that a macro gives to a tag elsewhere.
    yield from re.sub(r'[\w:-]+="[^"]*"', "", html).split("\n")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_templates_have_no_words_of_their_own(path: Path) -> None:
    for text in visible(path.read_text(encoding="utf-8")):
        plain = re.sub(r"&\w+;|\x00|[\w-]+\.(jsonl?|csv|pdf|pub)\b", " ", text)
        found = [word for word in re.findall(r"[^\W\d_][\w-]*", plain) if word not in SAME_EVERYWHERE]
        assert not found, f"{path.name}: {text.strip()!r}"


def test_the_search_for_words_finds_them() -> None:
    html = '<p class="x">{{ t("a.b") }} Hello</p><img alt="A cat">{% if x %}kWh{% endif %}'
    assert [text.strip("\x00 ") for text in visible(html) if text.strip("\x00 ")] == ["A cat", "Hello", "kWh"]


def test_counts_choose_their_form(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"en": {"a.b.one": "{n} home", "a.b.other": "{n} homes"}, "ko": {"a.b.other": "{n}가구"}}
    monkeypatch.setattr(words, "words", lambda language: known[language])
    assert [words.say("en", "a.b", n=n) for n in (0, 1, 2)] == ["0 homes", "1 home", "2 homes"]
    assert [words.say("ko", "a.b", n=n) for n in (1, 2)] == ["1가구", "2가구"]


def test_an_area_names_only_its_own_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "words" / "en"
    folder.mkdir(parents=True)
    (folder / "site.json").write_text('{"other.key": "x"}')
    monkeypatch.setattr(words, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"other\.key is not named after its area, site"):
        words.words.__wrapped__("en")
