"""Shows for each safeguard a course of events in which the check finds something once that safeguard is missing."""
