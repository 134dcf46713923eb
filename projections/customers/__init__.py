"""Which customer a contact point belongs to."""
