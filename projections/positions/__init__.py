"""How far the projector has read each partition."""
