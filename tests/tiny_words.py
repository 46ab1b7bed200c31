"""Bases and adapters for word problems that train in no time and know nothing."""

from loratheory.experiments.words._size import Size

TINY = Size(width=16, heads=2, steps=2, trained=2, problems=30, lesson=48, asked=8)
