"""What the cells of a notebook show, and what they know of the notebook that they are in."""
