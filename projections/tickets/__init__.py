"""Tickets and their clocks as they stand."""
