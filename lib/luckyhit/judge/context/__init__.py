"""What stands beside the verdict and never decides it.

naive, decompose           what a naive comparison says, and what an effect is made of; notes: in sentences
route_metrics              where an effect comes from: the same metrics, route by route
changepoints, drift, shifts   what happened inside an arm while it was measured
earlier                    a baseline alone, beside those of earlier runs
"""
