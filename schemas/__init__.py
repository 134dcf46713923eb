"""What travels between the hub's parts: Avro schemas, their typed records, the codec and the topics."""
