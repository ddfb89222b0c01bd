"""Old data: what a stale read is, how many there were, and whether they were looked for.

write_units   one unit for each write, whoever wrote
proportion_bounds   the bounds of a proportion of stale reads, at one error rate everywhere
probe_pairs   proportions of the probe's reads by kind of fault
background    stale reads in the workload itself; background_routes: which routes can show them
old_data      whether a run looked for old data at all
"""
