"""The page in the browser: a customer's history as it grows, with their tickets and what was promised."""
