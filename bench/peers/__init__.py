"""Other stream processors with the same fold on the same log, in environments of their own."""
