"""Hypothesis profiles: the same draws in CI every time, fresh ones elsewhere."""

import os

from hypothesis import settings

settings.register_profile(
    "ci", derandomize=True, deadline=None, report_multiple_bugs=False, max_examples=100
)
settings.register_profile("deep", deadline=None, report_multiple_bugs=False, max_examples=5000)
settings.register_profile(
    "dev", deadline=None, report_multiple_bugs=False, max_examples=50, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))
