"""Kills the hub's processes in a loop while events come in, then recomputes everything from the log and compares."""
