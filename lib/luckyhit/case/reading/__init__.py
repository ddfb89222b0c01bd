"""From the text of a case file to its data, and from a problem to its line."""
