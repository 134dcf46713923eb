"""Makes state and read models anew from the log: ``hub rebuild``."""
