"""A training as it stands, in one safetensors file that is whole or not there."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loratheory.pretrained._error import failure
from loratheory.pretrained._pupil import Pupil

MOMENTS = ("exp_avg", "exp_avg_sq")


def keep(
    file: Path, pupil: Pupil, optimizer: Any, losses: Sequence[float], told: str, *, last: bool
) -> None:
    """Write factors, moments and losses, and replace the older file in one step.

    Parameters
    ----------
    file : Path
        Its folder is made if need be.
    pupil : Pupil
        What is trained.
    optimizer : torch.optim.AdamW
        Its moments are kept unless this is the `last`.
    losses : sequence of float
        One a step so far.
    told : str
        Names the training: only the same one goes on from here.
    last : bool
        Whether the training is over.
    """
    from safetensors.torch import save_file

    tensors = {}
    for name, pair in pupil.factors.items():
        for side, factor in zip(("up", "down"), pair, strict=True):
            tensors[f"{name}.{side}"] = factor.detach()
            state = {} if last else optimizer.state.get(factor, {})
            tensors |= {f"{name}.{side}.{key}": state[key] for key in MOMENTS if state}
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".") as folder:
        draft = Path(folder) / file.name
        about = {"training": told, "losses": json.dumps(list(losses)), "last": str(int(last))}
        save_file({key: x.contiguous() for key, x in tensors.items()}, draft, metadata=about)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(file)


def taken_up(file: Path, pupil: Pupil, optimizer: Any, told: str) -> tuple[list[float], bool]:
    """Put factors and moments back as they were.

    Parameters
    ----------
    file : Path
        What `keep` wrote, or nothing yet.
    pupil : Pupil
        Overwritten in place.
    optimizer : torch.optim.AdamW
        Over the pupil's tensors.
    told : str
        Names the training.

    Returns
    -------
    losses : list of float
        One for each step made so far.
    over : bool
        Whether it had ended.

    Raises
    ------
    ModelError
        If the file is of another training, or none.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    if not file.exists():
        return [], False
    try:
        with safe_open(file, "pt") as opened:
            about: Mapping[str, str] = opened.metadata() or {}
            if about.get("training") != told:
                fact = "it holds the checkpoint of another training (model, data, plan or seed)"
                raise failure(str(file), fact, "name another file, or delete this one")
            losses = json.loads(about["losses"])
            with torch.no_grad():
                for name, pair in pupil.factors.items():
                    for side, factor in zip(("up", "down"), pair, strict=True):
                        factor.copy_(opened.get_tensor(f"{name}.{side}"))
                        if about["last"] == "0" and losses:
                            optimizer.state[factor] = {"step": torch.tensor(float(len(losses)))} | {
                                key: opened.get_tensor(f"{name}.{side}.{key}").to(factor.device)
                                for key in MOMENTS
                            }
    except SafetensorError as error:
        fact = f"it cannot be read as a checkpoint ({error})"
        raise failure(str(file), fact, "delete it to start anew") from error
    return losses, about["last"] == "1"
