"""One arm against the other: each metric with its interval.

effect           one metric in both arms, and how sure each number is
effects          the metrics of requests and of reads; measured: each of them, worked out and in order
blockwise        where arms took turns: whole blocks as units; order: whether the arm that was first matters
process_starts   whether a difference of latency recurs over process starts
stationary       whether a hit ratio still moves
"""
