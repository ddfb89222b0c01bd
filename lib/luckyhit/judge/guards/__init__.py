"""What would overturn the verdict, one row of `guard_rows.GUARDS` each.

run_guards          what was noted of the run, compared with the files
record_guards       all records of a run: complete, on one clock, warmed up alike
block_guards        what was noted of each block: its caches, its wash-out, what stopped it, the load engine
comparison_guards   the measured rows of both arms
negative_controls   metrics that the change can't touch
probe_guards        the freshness probe
carryover           what one arm leaves for the next, where they take turns
"""
