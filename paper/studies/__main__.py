"""``python -m paper.studies NAME`` runs a study; without a name it lists them."""

import argparse
import sys
from pathlib import Path

from paper.studies import NAMES, load
from paper.studies._shared.run import StudyError, run


def main(words: list[str] | None = None) -> int:
    """Run one study, or all studies; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m paper.studies", description=__doc__)
    parser.add_argument("name", nargs="?", help="a study, or `all`")
    parser.add_argument("--profile", choices=("quick", "paper"), default="paper")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1: one for each core")
    parser.add_argument("-o", "--output", type=Path, help="where study folders go; default: build")
    args = parser.parse_args(words)
    if args.name is None:
        for name in NAMES:
            study = load(name)
            times = ", ".join(f"{key} {time:g} min" for key, time in study.minutes.items())
            sys.stdout.write(f"{name:20} {times} of one core\n")
        return 0
    # A run replaces a stored table only with `-o paper/studies`.
    output = args.output or Path("build") / ("results" if args.profile == "paper" else "studies")
    try:
        for name in NAMES if args.name == "all" else [args.name]:
            path = run(load(name), args.profile, output / name, jobs=args.jobs, say=_say)
            _say(str(path))
    except (StudyError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
