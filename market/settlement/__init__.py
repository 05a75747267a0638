"""From registers and rules to money: pure functions, no clock, no database, no network."""
