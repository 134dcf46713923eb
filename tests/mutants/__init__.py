"""Mutation testing of the rules that contracts rest on: ``make mutants``; what survived is in docs/mutants.md."""
