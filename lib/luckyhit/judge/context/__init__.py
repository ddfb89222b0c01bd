"""What stands beside the verdict and never decides it.

naive, decompose           what a naive comparison says, and what an effect is made of; notes: in sentences
route_metrics              where an effect comes from: the same metrics, route by route
changepoints, drift, run_events   what happened inside an arm while it was measured
earlier_baselines          a baseline alone, compared with those of earlier runs
"""
