"""What a household sees of itself: now, its days, weeks, months and years, its intervals, neighbours and offer."""
