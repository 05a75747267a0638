"""A household's bills, the proofs of what it was charged, and its questions about either."""
