"""What each source sent, what it says it sent, and which of its own numbers are missing."""
