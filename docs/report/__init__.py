"""Write the report page with the claims of README and paper, and their measurements."""
