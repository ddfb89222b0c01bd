"""HTTP/2: many requests on one connection, each timed at its first and last byte."""
