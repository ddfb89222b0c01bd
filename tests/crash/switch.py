"""A switch in a file: `python switch.py FILE [on|off]` sets it and shows it. Setting it takes two steps, as real
commands do: what is killed in between leaves half of it."""

import sys
from pathlib import Path

file, words = Path(sys.argv[1]), sys.argv[2:]
if words:
    file.write_text("half-way")
    file.write_text(words[0])
print(file.read_text())
