"""One arm against the other: each metric with its interval.

effect           one metric in both arms, with the uncertainty of each number
effects          the metrics of requests; probe_effects: of the probe's reads; measured: every metric, in order
blockwise        where arms took turns: whole blocks as units; order: whether the arm that was first matters
process_starts   whether a difference of latency recurs over process starts
stationary       whether a hit ratio still moves
"""
