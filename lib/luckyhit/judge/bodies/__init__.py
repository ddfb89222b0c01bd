"""Bodies held against each other by their hashes: which rows can be, and what is known of each (`answers`), which
routes, and what writes to them (`routes`), and counts that chance does not explain (`chance`)."""
