"""`luckyhit run`: the three notebooks unattended, their outcome, and pruning of old runs."""
