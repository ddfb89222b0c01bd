"""The tables of the report as rows of text; a dash stands for what was not visible."""
