"""The identity graph and the recorded decisions: the one place that says whose an event is."""
