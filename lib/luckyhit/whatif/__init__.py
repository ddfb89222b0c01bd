"""What if the time to live, the size or the rule of invalidation were another: counted from recorded requests."""
