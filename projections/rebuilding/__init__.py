"""Read models made anew beside those that are read, and put in their place at once."""
