"""The page that a reader opens first: everything run once, what was confirmed and what was not."""
