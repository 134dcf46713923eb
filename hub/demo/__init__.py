"""The demonstration: the whole hub on one machine, and a story that comes in through its real doors."""
