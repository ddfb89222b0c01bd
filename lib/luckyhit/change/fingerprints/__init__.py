"""Everything that can be seen of one arm, as text, and what differs between two of them."""
