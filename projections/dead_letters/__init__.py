"""Which dead letters were put back, and where each of them was taken."""
