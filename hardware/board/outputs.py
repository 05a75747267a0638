"""Makes everything that is committed below `hardware/pumasi-s3` and `hardware/output`, and checks it with KiCad.

The same source gives the same bytes: identities are derived from names, and KiCad's dates are taken out again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hardware.board import bom, circuit, drawing, layout, project, schematic
from hardware.board.library import OWN_FOOTPRINTS, OWN_LIBRARY, Library, own_library
from hardware.board.parts import PARTS
from hardware.board.schematic import PROJECT
from hardware.board.sexpr import Node, child, every, number, parse, write
from hardware.kicad import Kicad

HARDWARE = Path(__file__).resolve().parents[1]
MANIFEST = "output/manifest.json"
_DATE = "2000-01-01"
_ZIP_DATE = (2000, 1, 1, 0, 0, 0)
_LAYERS = "F.Cu,In1.Cu,In2.Cu,B.Cu,F.Paste,B.Paste,F.SilkS,B.SilkS,F.Mask,B.Mask,Edge.Cuts"
_PIXELS = ("1200", "1020")
_SLACK_MM = 0.03
_SHOWN = 5
"""Violations that are shown when there are some."""

Say = Callable[[str], None]


class CheckError(Exception):
    """KiCad's checks found violations; says how many, and the first of them."""


def models() -> list[str]:
    """The 3D models of the footprints in use, as KiCad's packages name them."""
    made = []
    for part in PARTS.values():
        folder, _, short = part.footprint.partition(":")
        folder = OWN_FOOTPRINTS.get(short, folder)
        made.append(f"{folder}.3dshapes/{short}.step")
    return sorted(set(made))


def sources() -> dict[str, str]:
    """SHA-256 of every file that the outputs are made of, by its path below `hardware`."""
    files = [circuit.PINS, *sorted((HARDWARE / "board").glob("*.py"))]
    return {str(path.relative_to(HARDWARE)): _digest(path) for path in files}


def outputs(folder: Path = HARDWARE) -> dict[str, str]:
    """SHA-256 of every file that was made, by its path below `hardware`."""
    files = [path for name in (PROJECT, "output") for path in sorted((folder / name).rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): _digest(path) for path in files if path != folder / MANIFEST}


def make(kicad: Kicad, folder: Path, scratch: Path, say: Say, pictures: bool = True) -> None:
    """Writes both folders below `folder`. Raises CheckError, KicadError and RoutingError; then nothing is replaced."""
    made, output = scratch / PROJECT, scratch / "output"
    for one in (made, output):
        one.mkdir()
    _write_project(Library(kicad.share), made, say)
    say("filling the copper areas")
    raw = scratch / "raw.kicad_pcb"
    (made / f"{PROJECT}.kicad_pcb").rename(raw)
    (scratch / "raw.kicad_pro").write_text(project.project(_nets(), _SLACK_MM))
    filled = scratch / "filled.kicad_pcb"
    kicad.pcbnew(Path(layout.__file__).with_name("fill.py"), [raw, filled], scratch)
    (made / f"{PROJECT}.kicad_pcb").write_text(write(_rounded(parse(filled.read_text()))))
    _check(kicad, made, output, scratch, say)
    _export(kicad, made, output, scratch, say)
    if pictures:
        for side in ("top", "bottom"):
            say(f"rendering the {side}")
            kicad.run(
                [
                    "pcb", "render", "--side", side, "--width", _PIXELS[0], "--height", _PIXELS[1], "--zoom", "1.12",
                    "--background", "opaque", "--quality", "basic", "--output", output / f"{side}.png",
                    made / f"{PROJECT}.kicad_pcb",
                ],
                scratch,
            )  # fmt: skip
    for leftover in made.glob("*.kicad_prl"):
        leftover.unlink()
    manifest = {
        "kicad": kicad.run(["version"], scratch).strip().splitlines()[-1],
        "sources": sources(),
        "outputs": outputs(scratch),
    }
    (output / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    for one in (made, output):
        shutil.rmtree(folder / one.name, ignore_errors=True)
        shutil.copytree(one, folder / one.name)


def differences(folder: Path, other: Path) -> Iterator[str]:
    """Files that are not the same in both, by path."""
    one, two = outputs(folder), outputs(other)
    return (path for path in sorted(one.keys() | two.keys()) if one.get(path) != two.get(path))


def _nets() -> set[str]:
    return {net for component in circuit.components() for net in component.nets.values()}


def _write_project(library: Library, made: Path, say: Say) -> None:
    say("schematic")
    texts = {
        f"{PROJECT}.kicad_sch": schematic.schematic(library), f"{PROJECT}.kicad_pro": project.project(_nets()),
        f"{PROJECT}.kicad_dru": project.rules(), f"{OWN_LIBRARY}.kicad_sym": write(own_library()), **project.tables(),
    }  # fmt: skip
    say("tracks")
    texts[f"{PROJECT}.kicad_pcb"] = layout.board(library, say)
    (made / f"{OWN_LIBRARY}.pretty").mkdir()
    for name, footprint in library.own_footprints().items():
        texts[f"{OWN_LIBRARY}.pretty/{name}"] = write(footprint)
    for name, text in texts.items():
        (made / name).write_text(text, encoding="utf-8")


def _rounded(board: Node) -> Node:
    """The filled areas' corners to 0.01 mm: they are two thirds of the file. What is asked of them is the clearance."""
    for zone in every(board, "zone"):
        clearance = child(child(zone, "connect_pads"), "clearance")
        if float(clearance[1]) == layout.FILL_CLEARANCE_MM:
            clearance[1] = number(project.CLEARANCE_MM)
        for polygon in every(zone, "filled_polygon"):
            for corner in every(child(polygon, "pts"), "xy"):
                corner[1:] = [number(round(float(figure), 2)) for figure in corner[1:]]
    return board


Command = list[str | Path]


def _check(kicad: Kicad, made: Path, output: Path, scratch: Path, say: Say) -> None:
    say("checking the schematic (ERC) and the board (DRC)")
    sheet, board = made / f"{PROJECT}.kicad_sch", made / f"{PROJECT}.kicad_pcb"
    erc: Command = ["sch", "erc", "--severity-all", "--output", output / "erc.txt", sheet]
    drc: Command = ["pcb", "drc", "--severity-all", "--all-track-errors", "--schematic-parity"]
    for name, command in (("erc.txt", erc), ("drc.txt", [*drc, "--output", output / "drc.txt", board])):
        kicad.run(command, scratch)
        text = _undated((output / name).read_text())
        (output / name).write_text(text)
        found = violations(text)
        if found:
            first = "\n".join(re.findall(r"^\[\w+\]:(?:.*\n){4}", text, re.MULTILINE)[:_SHOWN])
            raise CheckError(f"{found} violations, in the report for {name}:\n{first}")


def violations(report: str) -> int:
    """How many a report of kicad-cli names; every one has a line that begins with its kind in brackets."""
    return len(re.findall(r"^\[\w+\]:", report, re.MULTILINE))


def _export(kicad: Kicad, made: Path, output: Path, scratch: Path, say: Say) -> None:
    say("schematic as PDF and SVG, gerbers, drill, positions, bill of materials")
    sheet, board = made / f"{PROJECT}.kicad_sch", made / f"{PROJECT}.kicad_pcb"
    kicad.run(["sch", "export", "pdf", "--output", output / "schematic.pdf", sheet], scratch)
    kicad.run(["sch", "export", "svg", "--output", scratch / "svg", sheet], scratch)
    (scratch / "svg" / f"{PROJECT}.svg").rename(output / "schematic.svg")
    kicad.run(["sch", "export", "netlist", "--output", output / "netlist.net", sheet], scratch)
    fabrication = scratch / "gerbers"
    fabrication.mkdir()
    kicad.run(
        [
            "pcb",
            "export",
            "gerbers",
            "--layers",
            _LAYERS,
            "--subtract-soldermask",
            "--output",
            f"{fabrication}/",
            board,
        ],
        scratch,
    )
    kicad.run(["pcb", "export", "drill", "--excellon-separate-th", "--output", f"{fabrication}/", board], scratch)
    kicad.run(
        [
            "pcb",
            "export",
            "pos",
            "--format",
            "csv",
            "--units",
            "mm",
            "--side",
            "both",
            "--exclude-dnp",
            "--output",
            output / "positions.csv",
            board,
        ],
        scratch,
    )
    fields = ["--show-fields", "Value,Footprint,Manufacturer,MPN", "--group-fields", "Value,Footprint,MPN"]
    kicad.html_bom(
        ["--no-browser", "--dest-dir", output, "--name-format", "bom", "--extra-data-file", board, *fields, board],
        scratch,
    )
    (output / "bom.csv").write_text(bom.table(), encoding="utf-8")
    (output / "bom-assembler.csv").write_text(bom.assembler_table(), encoding="utf-8")
    for path in (*output.iterdir(), *fabrication.iterdir()):
        path.write_bytes(_undated_bytes(path.read_bytes()))
    sheet_drawing = output / "schematic.svg"
    sheet_drawing.write_text(drawing.shrink(sheet_drawing.read_text()))
    with zipfile.ZipFile(output / "gerbers.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(fabrication.iterdir()):
            packed.writestr(zipfile.ZipInfo(path.name, _ZIP_DATE), path.read_bytes(), zipfile.ZIP_DEFLATED, 9)


def _undated_bytes(content: bytes) -> bytes:
    return _undated(content.decode("latin-1")).encode("latin-1")


def _undated(text: str) -> str:
    """Without the moment it was written; a PDF keeps its length, as its table of contents counts bytes."""
    text = re.sub(r"\(D:\d{14}[^)]*\)", lambda match: "(D:20000101000000" + " " * (len(match[0]) - 18) + ")", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([+-]\d{2}:?\d{2}|Z)?", f"{_DATE}T00:00:00", text)
    text = re.sub(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", _DATE.replace("-", "/") + " 00:00:00", text)
    # nor where it was written
    return re.sub(r'(\((?:source|uri) ")[^"]*/', r"\1", text)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
