"""Every provider, every kind of fault: what a sync does when a request goes wrong, once or for ever."""
