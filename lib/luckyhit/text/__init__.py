"""Words: numbers and lists (`numbers`), and what ids are called (`messages`)."""
