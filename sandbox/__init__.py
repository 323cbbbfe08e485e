"""A shop to try counterflow on: a Counterpoint and web stores that behave as the real ones were seen to behave.

Nothing outside this package knows it: only addresses and the certificate authority differ from a real installation.
"""
