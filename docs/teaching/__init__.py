"""What a lecturer hands out: the notebooks without solutions and notes for lecturers."""
