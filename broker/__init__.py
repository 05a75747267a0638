"""The message contract, the identities, and the brokers that carry it."""
