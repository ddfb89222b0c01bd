"""`luckyhit run`: the three notebooks without anybody at the keyboard, and what is left of them."""
