"""The counting: events of a cache, stack distances, the grid, replays and samples. Knows no run, no log and no case."""
