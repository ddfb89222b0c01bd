"""The freshness probe: it writes versions and looks when readers see them.

probe_plan      which write and read is due when
block_probe     the probe of one block, beside its load; probe_run: its events
arm             reads and writes in one arm (probe_reads, probe_writes)
probe_survey    what the keys hold before it; probe_preflight: everything that it will do, once, before a block
probe_recorder  its rows; undo_log: what its keys held before
"""
