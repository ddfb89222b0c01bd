"""The freshness probe: it writes versions and looks when readers see them.

probe_plan      which write and read is due when
probe_run       the probe of one block; beside: next to the block's load
arm             reads and writes in one arm (probe_reads, probe_writes)
probe_preflight everything that the probe will do, once, before a block
probe_recorder  its rows; undo_log: what its keys held before
variants        which variants of an answer it asks for
"""
