"""Bodies held against each other by their hashes: which rows can be, and what is known of each (`compared`), which
routes, and what writes to them (`read_routes`), and counts that chance does not explain (`chance`)."""
