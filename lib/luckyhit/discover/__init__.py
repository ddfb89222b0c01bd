"""What a service does with its cache, found out from sources and on a stack of our own; the case written from it.

Nothing is written to a service that this room did not start.
"""
