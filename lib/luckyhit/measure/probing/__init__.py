"""Parts of the freshness probe that are not its hands: which variants it asks for."""
