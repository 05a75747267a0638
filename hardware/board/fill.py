"""Fills the copper areas: run by KiCad's own Python, `fill.py SOURCE RESULT`."""

import sys

import pcbnew  # type: ignore[import-not-found,unused-ignore]

board = pcbnew.LoadBoard(sys.argv[1])
pcbnew.ZONE_FILLER(board).Fill(board.Zones())
pcbnew.SaveBoard(sys.argv[2], board)
