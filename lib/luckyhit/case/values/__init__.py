"""Kinds of value in a case: quantities with units, texts with a shape, placeholders, variables."""
