"""The project's own files: design rules, net classes, and where its libraries are."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hardware.board import circuit
from hardware.board.library import OWN_LIBRARY
from hardware.board.outline import BARRIER_MM
from hardware.board.parts import PARTS

CLEARANCE_MM = 0.2
TRACK_MM = 0.2
VIA_MM, VIA_DRILL_MM = 0.6, 0.3
EDGE_MM = 0.5


def net_class(net: str) -> str:
    """Field before Wide: the barrier's rule asks for it."""
    if net in circuit.FIELD_NETS:
        return "Field"
    return "Wide" if net in circuit.WIDE_NETS else "Default"


def track_width(net: str) -> float:
    """Of the net as `circuit` or as the netlist calls it [mm]."""
    return circuit.WIDE_NETS.get(net, TRACK_MM)


def label(net: str) -> str:
    """The net's name in the netlist: those of labels begin with the sheet's path."""
    return net if net in circuit.POWER_SYMBOLS else "/" + net


def project(nets: Iterable[str], slack_mm: float = 0.0) -> str:
    """The text of `pumasi-s3.kicad_pro`; with `slack_mm` copper areas keep further away from holes than they must."""
    classes = [
        _class("Default", TRACK_MM, 2147483647), _class("Field", TRACK_MM, 0), _class("Wide",
        max(circuit.WIDE_NETS.values()), 1),
    ]  # fmt: skip
    patterns = [
        {"netclass": net_class(net), "pattern": label(net)} for net in sorted(nets) if net_class(net) != "Default"
    ]
    # pins 11 and 14 of the transceiver are open, but stand on the field side
    patterns.append({"netclass": "Field", "pattern": "unconnected-(U6-NC-*"})
    rules = {
        "max_error": 0.05, "min_clearance": CLEARANCE_MM, "min_connection": 0.0,
        "min_copper_edge_clearance": EDGE_MM, "min_hole_clearance": 0.2 + slack_mm, "min_hole_to_hole": 0.25,
        "min_microvia_diameter": 0.2, "min_microvia_drill": 0.1, "min_resolved_spokes": 1,
        "min_silk_clearance": 0.0, "min_text_height": 0.8, "min_text_thickness": 0.1,
        "min_through_hole_diameter": 0.2, "min_track_width": TRACK_MM, "min_via_annular_width": 0.13,
        "min_via_diameter": VIA_MM, "solder_mask_to_copper_clearance": 0.0, "use_height_for_length_calcs": True,
    }  # fmt: skip
    return (
        json.dumps(
            {
                "board": {"design_settings": {"rules": rules, "rule_severities": {}, "drc_exclusions": []}},
                "erc": {"erc_exclusions": [], "meta": {"version": 0}},
                "libraries": {"pinned_footprint_libs": [], "pinned_symbol_libs": []},
                "meta": {"filename": "pumasi-s3.kicad_pro", "version": 3},
                "net_settings": {
                    "classes": classes, "meta": {"version": 4}, "net_colors": None, "netclass_assignments": None,
                    "netclass_patterns": patterns,
                },
                "pcbnew": {"page_layout_descr_file": ""},
                "schematic": {"drawing": {"default_text_size": 50.0}, "page_layout_descr_file": ""},
                "sheets": [],
                "text_variables": {},
            },
            indent=2,
            sort_keys=True,
        )
        + "\n"
    )  # fmt: skip


def rules() -> str:
    """The text of `pumasi-s3.kicad_dru`."""
    return f"""(version 1)
# Functional isolation: no copper of the field side comes near copper of the logic.
(rule "barrier"
  (constraint clearance (min {BARRIER_MM}mm))
  (condition "A.NetClass == 'Field' && B.NetClass != 'Field'"))
(rule "barrier, holes"
  (constraint hole_clearance (min {BARRIER_MM}mm))
  (condition "A.NetClass == 'Field' && B.NetClass != 'Field' && B.Type != 'Pad'"))
"""


def tables() -> dict[str, str]:
    """KiCad's library tables of the project, by file name."""
    symbols = {part.symbol.partition(":")[0] for part in PARTS.values()} | {"power"}
    footprints = {part.footprint.partition(":")[0] for part in PARTS.values()}
    own = _row(OWN_LIBRARY, f"${{KIPRJMOD}}/{OWN_LIBRARY}.kicad_sym")
    rows = [_row(name, f"${{KICAD9_SYMBOL_DIR}}/{name}.kicad_sym") for name in sorted(symbols - {OWN_LIBRARY})]
    return {
        "sym-lib-table": "\n".join(["(sym_lib_table", "  (version 7)", *rows, own, ")"]) + "\n",
        "fp-lib-table": "\n".join(
            [
                "(fp_lib_table",
                "  (version 7)",
                *(
                    _row(name, f"${{KICAD9_FOOTPRINT_DIR}}/{name}.pretty")
                    for name in sorted(footprints - {OWN_LIBRARY})
                ),
                _row(OWN_LIBRARY, f"${{KIPRJMOD}}/{OWN_LIBRARY}.pretty"),
                ")",
            ]
        )
        + "\n",
    }


def _row(name: str, uri: str) -> str:
    return f'  (lib (name "{name}")(type "KiCad")(uri "{uri}")(options "")(descr ""))'


def _class(name: str, track: float, priority: int) -> dict[str, object]:
    return {
        "bus_width": 12, "clearance": CLEARANCE_MM, "diff_pair_gap": 0.25, "diff_pair_via_gap": 0.25,
        "diff_pair_width": 0.2, "line_style": 0, "microvia_diameter": 0.3, "microvia_drill": 0.1, "name": name,
        "pcb_color": "rgba(0, 0, 0, 0.000)", "priority": priority, "schematic_color": "rgba(0, 0, 0, 0.000)",
        "track_width": track, "via_diameter": VIA_MM, "via_drill": VIA_DRILL_MM, "wire_width": 6,
    }  # fmt: skip
