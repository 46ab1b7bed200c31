"""_error: spent memory is told from other errors, whoever says it."""

import numpy as np
import pytest
import torch

from loratheory.pretrained._error import spent


def test_memory_that_python_numpy_or_torch_cannot_get_is_spent():
    for work in (lambda: np.ones(1 << 60, np.int8), lambda: torch.ones(1 << 60, dtype=torch.int8)):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            work()
        assert spent(caught.value)
    assert spent(torch.OutOfMemoryError("CUDA out of memory"))


def test_other_errors_are_not():
    assert not spent(RuntimeError("shapes do not fit"))
    assert not spent(ValueError("memory"))
