"""CPython tools around the meter: street data, simulated fleets."""
