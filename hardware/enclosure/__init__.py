"""The box for a DIN rail, made from the board's own outline."""
