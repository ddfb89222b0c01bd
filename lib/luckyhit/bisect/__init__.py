"""Since when: which revision brought a fault, by comparisons of two revisions on stacks of our own."""
