"""Statistics on numbers, whatever they measure.

boundary      how wide intervals are for one look; sequential: for any number of looks
intervals     the difference of two arms with its interval: means; rank_intervals: quantiles
proportions   counts out of totals, exactly
forecast      how many pairs a goal takes until it is decided
"""
