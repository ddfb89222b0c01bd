"""What several figures are made of, and how they put a verdict."""
