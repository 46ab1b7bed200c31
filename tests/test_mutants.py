"""The planted errors fit the code they are planted in, and every theorem has enough of them."""

from collections import Counter

from mutants import collected

from loratheory.theorems import ALL


def test_every_theorem_meets_at_least_five_errors():
    """Reading them also refuses a text that its module no longer holds."""
    planted = Counter(mutant.module.stem for mutant in collected([]))
    few = {t.label: planted[t.label[4:].replace("-", "_")] for t in ALL}
    assert {label: count for label, count in few.items() if count < 5} == {}
