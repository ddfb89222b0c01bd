"""What the probe's reads mean, for how long, and for whom.

histories         what was written under each key, and when
classify          each read against that: fresh, stale, never committed; shares by delay
windows           for how long an old value lasts; sessions: readers that went back, or disagreed
probed            all of it for one arm; freshness_facts: in the numbers of the result
"""
