"""Old data: what a stale read is, how many there were, and whether they were looked for.

write_units   one unit for one write, each of the same weight, whoever wrote
share_bounds  the bounds of a share of stale reads, at one level wherever a run tells them
probe_pairs   shares of the probe's reads by what is wrong with them
background    stale reads in the workload itself; background_routes: which routes can show them
old_data      whether a run looked for old data at all
"""
