"""What brings the hub onto a machine: images, wheels, and the servers beside it."""
