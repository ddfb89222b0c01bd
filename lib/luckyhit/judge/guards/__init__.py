"""What would overturn the verdict, one row of `guard_rows.GUARDS` each.

run_guards          what was noted of the run, held against what is there
record_guards       the whole record, whatever was measured
preparation         what was noted of each block: whether it was washed out, and what stopped it
comparison_guards   the measured rows of both arms; cache_state: the caches at the start of each block
negative_controls   metrics that the change can't touch
probe_guards        the freshness probe
carryover           what one arm leaves for the next, where they take turns
"""
