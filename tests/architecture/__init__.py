"""The rules of the house, as finders over the source tree; each finder is tried on a bad sample, too."""
