"""Compares the log with everything that was made of it.

``evidence``, ``expected`` and ``check`` do it in memory, with nothing running: they judge the tests' runs. The other
modules do it while everything runs and for a log of any length: that is ``hub verify``.
"""
