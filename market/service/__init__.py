"""The running market: messages in, gates closed by the clock, results out; replay and audit."""
