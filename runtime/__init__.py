"""The engine room: batch transport, changelog, clock, settings, metrics, logging, clients of Kafka."""
