"""The operator's pages: network, meters, intervals, other rules, members, corrections, audit. Auditors read them."""
