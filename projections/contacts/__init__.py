"""Calls and chats, measured: who waited where for how long, and who answered."""
