"""What of a cache is watched beside its keys' own events: flushes, and which keys a read touches."""
