"""What is kept of an answer beside its row's figures: a hash of its body, and examples of unexpected ones."""
