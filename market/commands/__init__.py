"""The ``pumasi`` command."""

from market.commands.main import main

__all__ = ["main"]
