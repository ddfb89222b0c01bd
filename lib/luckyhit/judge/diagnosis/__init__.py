"""The detective's reasoning, pure: which faults the outcomes of experiments show, leave and exclude, and what is next.

`table` and `experiment_rows` are the facts; `outcome` turns observations into outcome ids, `elimination` turns outcomes
into statuses of fault classes, `next_experiment` picks what splits the rest. Words stand in `luckyhit.text`, by id.
"""
