"""The pure clearing engine: problem, two solvers, tie rule, witness, certificate, matches."""
