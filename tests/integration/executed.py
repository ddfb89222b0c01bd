"""What notebooks show once they were executed."""

from __future__ import annotations

import re

from nbformat import NotebookNode


def assert_outputs_can_be_read(book: NotebookNode) -> None:
    """Each output is a figure with alt text, a table or a sentence; and there are some."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert outputs
    for output in outputs:
        assert output.output_type in ("execute_result", "display_data"), output
        assert {"text/markdown", "text/html"} & set(output.data)
        if "data:image/" in (shown := output.data.get("text/html", "")):
            assert len(re.search('alt="([^"]*)"', shown)[1]) > 20
        assert "image/png" not in output.data and len(output.data.get("text/plain", "")) < 20_000, "no second copy"
