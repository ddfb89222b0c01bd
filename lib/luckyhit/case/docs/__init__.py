"""The template of a case, its JSON Schema, and its reference: made from the models."""
