"""A customer's history, line by line."""
