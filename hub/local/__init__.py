"""The embedded stack: real Kafka, PostgreSQL and Alertmanager as processes of this machine, for the demo and the tests.

For a laptop or a CI machine: one user, loopback only, no TLS, no passwords. A production hub is pointed at its own
servers and never imports this package.
"""
