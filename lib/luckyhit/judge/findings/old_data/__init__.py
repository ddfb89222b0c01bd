"""Findings on old data: what readers saw past a write, and what the cache did about it."""
