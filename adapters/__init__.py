"""One folder per vendor or protocol; each turns what arrives into ``InteractionReceived`` and knows no server."""
