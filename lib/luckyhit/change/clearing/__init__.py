"""Clearing what the case declares and nothing else: cache keys, HTTP caches, and putting keys back."""
