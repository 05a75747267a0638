"""Proofs without leaks: what a household can check offline, without seeing its neighbours' data.

``curve``, ``salts``, ``tree`` and ``head`` make what is published and proven; ``verify`` checks it and shares no code
with them, and ``verify.html`` is a second verifier for the browser. The format is docs/proofs.md.
"""
