"""Alerts, and what each receiver was told of them."""
