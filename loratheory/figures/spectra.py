"""What adapters look like from their weights: energy over depth, and the spectra."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from loratheory.diagnosis import kind_of, layer_of
from loratheory.figures._style import styled


@styled
def draw(results: Sequence[Mapping[str, Any]]) -> Any:
    """Draw one row a folder: energy by layer and kind of module, and normalised spectra.

    Parameters
    ----------
    results : sequence of mappings
        As ``loratheory inspect --json`` writes them: `folder` and `modules`, each module with
        `module`, `energy` and `sigma`.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 2.9 * len(results)))
    axes = figure.subplots(len(results), 2, squeeze=False, width_ratios=[1.5, 1])
    for (left, right), result in zip(axes, results, strict=True):
        kinds: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        whole = sum(module["energy"] for module in result["modules"]) or 1.0
        for module in result["modules"]:
            layer = layer_of(module["module"])
            kinds[kind_of(module["module"])][layer or 0] += 100 * module["energy"] / whole
        floor: dict[int, float] = defaultdict(float)
        for number, (kind, energy) in enumerate(sorted(kinds.items())):
            label = kind.split(".")[-1]
            layers = sorted(energy)
            heights = [energy[layer] for layer in layers]
            bottoms = [floor[layer] for layer in layers]
            left.bar(layers, heights, bottom=bottoms, label=label, color=f"C{number % 7}")
            for layer in layers:
                floor[layer] += energy[layer]
            for module in result["modules"]:
                sigma = module["sigma"]
                if kind_of(module["module"]) == kind and sigma and sigma[0]:
                    scaled = [value / sigma[0] for value in sigma]
                    right.plot(
                        range(1, len(scaled) + 1), scaled, color=f"C{number % 7}", lw=0.8, alpha=0.4
                    )
        left.set(
            title=f"{result['folder']}: where the energy lies",
            xlabel="layer",
            ylabel="share of the squared norm, %",
        )
        left.xaxis.get_major_locator().set_params(integer=True)
        left.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, -0.35))
        right.set(title="spectra of all modules", xlabel="index i", ylabel=r"$\sigma_i/\sigma_1$")
        right.set_ylim(0, 1.05)
        right.xaxis.get_major_locator().set_params(integer=True)
    return figure
