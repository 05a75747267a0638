"""Short cards: when energy is cheap, what is wrong with the meter. Dismissed ones stay away until the matter is new."""
