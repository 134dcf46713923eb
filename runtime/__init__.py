"""The engine room: batch transport, changelog, clock, settings, metrics, logging, and the clients of Kafka and Postgres."""
