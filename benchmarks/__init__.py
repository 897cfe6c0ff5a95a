"""Measurements against the sandbox; `make bench` runs them."""
