"""The backtest: what a community would have saved, on a measured year."""
