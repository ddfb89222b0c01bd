"""What the commands do. Each module is imported by its own command only, so that the help starts without its
libraries."""
