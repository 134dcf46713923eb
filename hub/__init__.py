"""The hub itself: its command line, its doors over HTTP, its pages, and the wiring of everything below it."""
