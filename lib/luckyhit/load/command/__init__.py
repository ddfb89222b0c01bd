"""`luckyhit load`: one URL, one pace, exact percentiles of every request."""
