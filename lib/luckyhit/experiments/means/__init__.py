"""What experiments work with: requests, keys, the cache's commands, a relay in front of it, settings."""
