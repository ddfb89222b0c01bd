"""What a run recorded, as arrays that a judge can count in.

rows, columns    the requests as arrays, and how files and frames become them
row_order        the order they are kept in, and the requests that both arms have
request_values   what one request counts as, by metric
samples          the rows cut into units (batches of slots, or blocks)
probe_frames     the frames of the probe, with nothing in them that can't be judged
record           all of it by the stages of a run
parallel         independent work on several cores
"""
