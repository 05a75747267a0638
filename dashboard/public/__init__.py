"""What everybody may know: the community's sums, its prices, its chain."""
