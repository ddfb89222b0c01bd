"""Where the events come from: a run or an access log, with what was measured of them."""
