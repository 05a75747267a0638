"""Make the bill's fonts from NanumGothic: ``python -m market.statements.make_fonts FOLDER`` (docs in fonts/README.md).

What Korean and Western European text needs: KS X 1001's 2,350 syllables and jamo, Latin and signs. A modified font
may not have the reserved name (OFL 1.1, condition 3), so it gets its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter  # type: ignore[import-untyped]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

NAME = "Pumasi Bill"
STYLES = {"Regular": "NanumGothic.ttf", "Bold": "NanumGothicBold.ttf"}
KEPT = {"glyf", "loca", "head", "hhea", "hmtx", "maxp", "cmap", "name", "OS/2", "post", "cvt ", "fpgm", "prep"}
COPYRIGHT = 0
LICENCE = {13: "SIL Open Font License, Version 1.1", 14: "https://openfontlicense.org"}
SIGNS = "–—‘’“”„…·×÷−±≤≥→←↑↓€£₩①②③④⑤⑥⑦⑧⑨⑩■□▲△▼▽○●◎「」『』、。※"


def characters() -> set[int]:
    found = {*range(0x20, 0x7F), *range(0xA0, 0x180), *map(ord, SIGNS), *range(0x3131, 0x3164)}
    for row in range(0xB0, 0xC9):
        for cell in range(0xA1, 0xFF):
            try:
                found.add(ord(bytes((row, cell)).decode("euc_kr")))
            except UnicodeDecodeError:
                continue
    return found


def make(source: Path, style: str, target: Path) -> None:
    font = TTFont(source, recalcTimestamp=False)
    for table in set(font.keys()) - KEPT - {"GlyphOrder"}:
        del font[table]
    subsetter = Subsetter(Options(hinting=False, layout_features=[], name_IDs=["*"], notdef_outline=True))
    subsetter.populate(unicodes=characters())
    subsetter.subset(font)
    names = font["name"]
    names.names = [record for record in names.names if record.nameID == COPYRIGHT]
    full = f"{NAME} {style}"
    texts = {1: NAME, 2: style, 3: full, 4: full, 6: full.replace(" ", "")} | LICENCE
    for number, text in texts.items():
        names.setName(text, number, 3, 1, 0x409)
    font.flavor = "woff"
    font.save(target)


def main() -> None:
    folder = Path(sys.argv[1])
    for style, name in STYLES.items():
        make(folder / name, style, Path(__file__).with_name("fonts") / f"PumasiBill-{style}.woff")


if __name__ == "__main__":
    main()
