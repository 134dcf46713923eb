"""The versions of what is configured, and the open tickets that a new one would concern."""
