"""What the cache did around the probe's writes, by its own events: keyspace_log by key, write_events by write."""
