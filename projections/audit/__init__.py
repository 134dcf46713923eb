"""Whole tables, for comparing them with the log."""
