"""The paper's sources, written once for all tests, with blank figures."""

from pathlib import Path

import pytest

from loratheory.paper import written

PAPER = Path(__file__).parents[2] / "paper"
BLANK = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 620 360]>>endobj
trailer<</Root 1 0 R>>
"""


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """The folder with all of them; what `written` returned is listed in it."""
    build = tmp_path_factory.mktemp("paper")
    files = written(PAPER, build, lambda name, _: b"%" + name.encode() + b"\n" + BLANK)
    (build / "files").write_text("\n".join(str(file.relative_to(build)) for file in files))
    return build
