"""Clear what the case declares and nothing else: cache keys, and HTTP caches in front."""
