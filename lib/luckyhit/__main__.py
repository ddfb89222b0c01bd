"""`python -m luckyhit`: the same as the command `luckyhit`."""

from luckyhit.cli import main

main()
