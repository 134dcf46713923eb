"""Mail as a channel: raw RFC 5322 bytes in, one event per mail out, and the LMTP door that takes them."""
