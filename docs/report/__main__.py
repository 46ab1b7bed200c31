"""``make reproduce``: judge the claims of README and paper, and write build/report.html."""

import base64
import platform
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment
from tqdm.auto import tqdm

from loratheory.store import write_whole
from report.claims import Section, judge, read_claims

Steps = Mapping[str, Callable[[], Section]]


def plan_steps(build: Path) -> Steps:
    """Return the steps by the name that the bar shows; the two trainings begin at once."""
    from report import exact, language, studies

    # The trainings run in parallel with all other steps.
    trained_now = language.begin_training()
    return {
        "theorems": exact.verify_theorems,
        "studies without training": studies.rerun_exactly,
        "two real adapters": lambda: exact.merge_pair(build),
        "stored tables": studies.read_tables,
        "the paper's numbers": studies.check_paper,
        "notebooks": exact.run_notebooks,
        "figures": lambda: studies.draw_figures(build),
        "stored adapters": language.evaluate_stored,
        "two adapters trained now": trained_now,
        "a merge in PEFT": lambda: language.compare_with_peft(build / "merged-sum"),
    }


def take_steps(steps: Steps) -> tuple[dict[str, Section | str], dict[str, float]]:
    """Run the steps under one progress bar; return their sections or errors, and their seconds."""
    found, seconds = dict[str, Section | str](), dict[str, float]()
    for name, step in (bar := tqdm(steps.items(), unit="step")):
        bar.set_description(name)
        start = time.perf_counter()
        try:
            found[name] = step()
        except Exception as error:  # the other claims are still judged
            found[name] = f"{type(error).__name__}: {error}"
        seconds[name] = time.perf_counter() - start
    return found, seconds


def _embed(figure: Path) -> str:
    """Return a figure as a data URL, so that the page is one file."""
    return "data:image/png;base64," + base64.b64encode(figure.read_bytes()).decode()


def report(steps: Steps, page: Path) -> int:
    """Run the steps, judge all claims, write the page; return 0 if every claim is confirmed."""
    (claims, about), (found, seconds) = read_claims(), take_steps(steps)
    verdicts = judge(claims, found)
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "peft"))
    meta = f"{versions}; Python {platform.python_version()}; {sum(seconds.values()):.0f} s"
    environment = Environment(autoescape=True)
    environment.filters["embed"] = _embed
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    shown = {"verdicts": verdicts, "about": about, "found": found, "seconds": seconds, "meta": meta}
    write_whole(page, environment.from_string(template).render(shown))
    failed = [f"{name} failed: {one}" for name, one in found.items() if isinstance(one, str)]
    good = sum(verdict.confirmed for verdict in verdicts)
    lines = [*failed, *map(str, verdicts), f"{good} of {len(verdicts)} claims confirmed: {page}"]
    sys.stdout.write("\n".join(lines) + "\n")
    # A step without a claim may fail, too.
    return int(good < len(verdicts) or bool(failed))


if __name__ == "__main__":
    BUILD = Path("build")
    BUILD.mkdir(exist_ok=True)
    sys.exit(report(plan_steps(BUILD), BUILD / "report.html"))
