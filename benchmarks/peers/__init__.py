"""The connector beside other programs for the same work, against one local server; `make bench-peers` runs it."""
