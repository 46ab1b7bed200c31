"""Two authors on a small model, whose trainings share one cache."""

from worded import both as both
from worded import model as model
