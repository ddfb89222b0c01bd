"""What notebooks show once they were executed."""

from __future__ import annotations

from nbformat import NotebookNode


def assert_outputs_can_be_read(book: NotebookNode) -> None:
    """Each output is a figure with alt text, a table or a sentence; and there are some."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert outputs
    for output in outputs:
        assert output.output_type in ("execute_result", "display_data"), output
        if "image/png" in output.data:
            assert len(output.metadata["image/png"]["alt"]) > 20
        else:
            assert {"text/markdown", "text/html"} & set(output.data)
