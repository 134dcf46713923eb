"""What reads the hub's topics for somebody else: the projector for readers, alerts for whoever is on call."""
