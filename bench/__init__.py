"""What the hub can do on one machine, in figures; see README.md for what each figure is and is not."""
