"""Whether two arms differ by no more than the change: else no difference between them can be put down to it.

cache_state        the caches at the start of each block
preparation        what was noted of each block: whether it was washed out, and what stopped it
negative_controls  metrics that the change can't touch
process_starts     whether a difference of latency recurs over process starts
"""
