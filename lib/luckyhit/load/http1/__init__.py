"""The HTTP/1.1 client: timed at the first and last byte, nothing between the service and the clock."""
