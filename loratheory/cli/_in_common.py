"""What adapters have in common, from whatever the user has: training sets, prompts, or neither."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from loratheory.cli._output import refused
from loratheory.diagnosis import solution_overlaps, solution_templates, weight_likeness

if TYPE_CHECKING:
    from loratheory.adapters import Adapter

Measured = dict[str, dict[tuple[int, int], float]]


def in_common(
    folders: Sequence[Path],
    solutions: Sequence[Path],
    probe: Path | None,
    model: str | None,
    *,
    any_base: bool,
) -> Measured:
    """Return each measure there is something to take from, pair by pair; nothing if neither."""
    if not solutions and probe is None:
        if model:
            refused(f"--model {model} has nothing to read: give prompts with --probe FILE")
        return {}
    if solutions and len(solutions) != len(folders):
        fact = f"--solutions was given {len(solutions)} times for {len(folders)} adapters"
        refused(f"{fact}: give it once for each, in their order")
    found: Measured = {}
    if solutions:
        found["overlap"] = solution_overlaps([solution_templates(file) for file in solutions])
    from loratheory.adapters import aligned, read

    adapters = [read(folder) for folder in folders]
    found |= weight_likeness(aligned(adapters, any_base=any_base))
    if probe is not None:
        found["agreement"] = _agreement(adapters, probe, model)
    return found


def _agreement(
    adapters: "Sequence[Adapter]", probe: Path, model: str | None
) -> dict[tuple[int, int], float]:
    """How often each two adapters say the same next token after a prompt."""
    try:
        prompts = [line for line in probe.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        refused(f"--probe {probe} cannot be read ({error}): give a text file, a prompt a line")
    if not prompts:
        refused(f"--probe {probe} is empty: give at least one prompt, one a line")
    if model is None:
        refused("--probe needs the base model to run the prompts on: add --model NAME")
    from loratheory.pretrained import agreement, load

    table = agreement(load(model), adapters, prompts)
    return {(i, j): float(table[i, j]) for i, j in combinations(range(len(adapters)), 2)}
