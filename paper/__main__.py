"""``python -m paper`` builds paper/main.pdf from the stored tables."""

import sys
from pathlib import Path

from paper.build import PaperError, build
from paper.tables import QueryError


def main(paper: Path = Path("paper"), folder: Path = Path("build/paper")) -> int:
    """Build the paper; print its path, or the error."""
    try:
        pages = build(paper, folder)
    except (PaperError, QueryError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{pages}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
