"""What the commands do, a module for each group of them: imported by its command, so that the others and the help start
without its libraries."""
