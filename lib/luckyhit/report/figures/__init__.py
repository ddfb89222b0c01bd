"""The figures: one module each, with its data, its drawing and what it says; `figure_rows.FIGURES` has a row each."""
