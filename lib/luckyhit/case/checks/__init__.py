"""Checks between the fields of a case; each names the field that is most likely wrong."""
