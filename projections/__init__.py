"""The read models in PostgreSQL: one folder each, with its SQL beside the store that runs it, and the migrations."""
