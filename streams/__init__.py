"""The stream processors, one file per stage."""
