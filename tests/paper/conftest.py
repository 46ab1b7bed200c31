"""Two authors on a small model, whose trainings share one cache."""

from language import both as both
from language import model as model
