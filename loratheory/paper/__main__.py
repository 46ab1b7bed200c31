"""``python -m loratheory.paper`` builds paper/main.pdf from the stored tables."""

import sys
from pathlib import Path

from loratheory.experiments import TableError
from loratheory.experiments.engine import QueryError
from loratheory.paper import PaperError, built


def main(paper: Path = Path("paper"), build: Path = Path("build/paper")) -> int:
    """Build the paper and say where it is, or why it is not."""
    if not (paper / "main.tex").is_file():
        sys.stderr.write(f"loratheory: no {paper / 'main.tex'}: run this in a checkout\n")
        return 2
    try:
        pages = built(paper, build)
    except (PaperError, QueryError, TableError) as error:
        sys.stderr.write(f"loratheory: {error}\n")
        return 2
    sys.stdout.write(f"{pages}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
