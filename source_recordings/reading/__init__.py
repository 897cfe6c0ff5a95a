"""Reads any provider's streams: which windows of time, which requests, in which order. It knows no provider's name."""
