"""What a run did to its target, what it did not, and whether all is back as it was: from its journal and its notes."""
