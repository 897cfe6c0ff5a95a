"""The streams that are the same for all providers, in whole syncs."""
