"""The page that a reader opens first: the claims of README and paper, and what was measured."""
