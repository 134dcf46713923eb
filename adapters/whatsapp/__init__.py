"""WhatsApp Cloud API: chat messages and calls of a business number, delivered by webhook."""
