"""What became of each promise, with the evidence."""
