"""What is read from a response's body: decoded, hashed, held against what was expected."""
