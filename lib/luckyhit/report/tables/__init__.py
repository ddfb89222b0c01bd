"""The tables of the report as rows of text; a dash means not visible."""
