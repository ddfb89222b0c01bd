"""The figures: one module each, with its data, its drawing and what it says; `registry.FIGURES` has a row for each."""
