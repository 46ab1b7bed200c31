"""What a lecturer hands out: the notebooks without solutions, and slides for one lecture."""
