"""The rules: pure, synchronous, with time and ids passed in."""
