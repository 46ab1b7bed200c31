"""Tables: writing and reading them, means over bases, and comparing a new with a stored one."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.experiments.engine._experiment import Row, plain
from loratheory.shapes import Float, Shaped

if TYPE_CHECKING:
    import pandas as pd

DECIMALS = 9  # what lies beyond may differ between processors
LARGE = 2**16  # bytes; larger tables are stored compressed
PACKAGE = Path(__file__).parents[2]
PLACES = (PACKAGE / "results", PACKAGE.parent / "paper" / "results")
"""The folders of the project's own tables: in an installed wheel, and in a checkout."""


class TableError(ValueError):
    """Raised where a table cannot be written, read or drawn."""


def csv_text(rows: Sequence[Row]) -> str:
    """Return rows as comma-separated text, which `table` reads.

    There must be at least one row, and all must have the same keys in the same order; each column
    must be all words or all numbers. Otherwise TableError. Numbers are rounded to nine decimals, so
    that runs on different processors give equal text.
    """
    if not rows:
        message = "a table needs at least one row: let a cell return some"
        raise TableError(message)
    for number, row in enumerate(rows, start=1):
        if list(row) != list(rows[0]):
            message = f"row {number} has columns {', '.join(row)}; row 1 has {', '.join(rows[0])}"
            raise TableError(message)
    cells = [[_written(value) for value in row.values()] for row in rows]
    for name, column in zip(rows[0], zip(*cells, strict=True), strict=True):
        words = {isinstance(row[name], str) for row in rows}
        if len(words) > 1 or words != {not any(map(_is_number, column))} or "" in column:
            message = f"column {name}: all cells must be numbers, or all words that are no numbers"
            raise TableError(message)
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([list(rows[0]), *cells])
    return buffer.getvalue()


def _written(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{round(value, DECIMALS) + 0.0:.15g}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def packed(text: str) -> tuple[str, bytes]:
    """Return the file name and the bytes under which a table is stored, compressed if large."""
    data = text.encode()
    if len(data) <= LARGE:
        return "table.csv", data
    return "table.csv.gz", gzip.compress(data, mtime=0)


def unpacked(path: Path) -> bytes | None:
    """Return the bytes of a file or, uncompressed, of ``path.gz``; None where neither exists."""
    twin = path.with_name(f"{path.name}.gz")
    if path.is_file():
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    return gzip.decompress(twin.read_bytes()) if twin.is_file() else None


def table(path: Path) -> "pd.DataFrame":
    """Read a comma-separated file, or its compressed twin ``path.gz``, as a data frame.

    A column is of floats, or of strings where no cell is a number. TableError if there is no such
    file, it has no rows, rows differ in length, a cell is empty, or a column mixes both.

    Examples
    --------
    >>> table(published("window")).loc[11].to_dict()
    {'coefficient': 0.55, 'hop_1': 0.1, 'hop_2': 0.1, 'two_hop': -0.1475}
    """
    import pandas as pd

    try:
        data = unpacked(path)
        lines = list(csv.reader(io.StringIO((data or b"").decode(), newline="")))
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error, csv.Error) as error:
        message = f"{path} is no table ({error}): name one that `loratheory run` has written"
        raise TableError(message) from None
    if data is None:
        remedy = "name one that `loratheory run` has written, or leave it out for the project's own"
        message = f"there is no table {path}: {remedy}"
        raise TableError(message)
    if len(lines) < 2:
        message = f"{path} holds {len(lines)} lines: a table has a header and at least one row"
        raise TableError(message)
    header, *rows = lines
    for line, cells in enumerate(rows, start=2):
        if len(cells) != len(header):
            fact = f"{path}, line {line}: {len(cells)} cells under {len(header)} columns"
            message = f"{fact}: give every row one cell a column"
            raise TableError(message)
    columns = zip(header, zip(*rows, strict=True), strict=True)
    return pd.DataFrame({name: _typed(path, name, column) for name, column in columns})


def _typed(path: Path, name: str, column: tuple[str, ...]) -> tuple[str | float, ...]:
    numbers = any(map(_is_number, column))
    for line, cell in enumerate(column, start=2):
        if not cell or numbers != _is_number(cell):
            what = "not a number" if numbers else "empty"
            message = f"{path}, line {line}, column {name}: {cell!r} is {what}: give one"
            raise TableError(message)
    return tuple(map(float, column)) if numbers else column


def word(cell: Any) -> str:
    """Return a cell's value as it is written in a query."""
    return cell if isinstance(cell, str) else f"{cell:g}"


def home() -> Path:
    """Return the folder whose ``results`` holds the project's own tables.

    In a checkout that is ``paper``; in an installed package, the package's own folder.
    """
    return next((place for place in PLACES if place.is_dir()), PLACES[-1]).parent


def published(name: str) -> Path:
    """Return the path of the project's own table of an experiment, made by its paper profile.

    Its ``provenance.json`` is in the same folder. TableError if there is no such table.
    """
    for folder in PLACES:
        for file in (folder / name / "table.csv", folder / name / "table.csv.gz"):
            if file.is_file():
                return file
    known = sorted({path.parent.name for folder in PLACES for path in folder.glob("*/table.csv*")})
    message = f"no table of {name!r} is published, only of {', '.join(known) or 'nothing'}"
    raise TableError(message)


def bootstrap_mean(
    values: Shaped[np.ndarray, "bases sets *cells"],
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "*cells"], Float[np.ndarray, "*cells"], Float[np.ndarray, "*cells"]]:
    """Return the mean over bases and edit sets, and a bootstrap interval: mean, low and high.

    Measurements on one base are correlated, as are those on one edit set; so bases and sets are
    resampled as blocks, independently of each other (the pigeonhole bootstrap, whose intervals err
    on the wide side: Owen 2007, Annals of Applied Statistics 1). Where each base has sets of its
    own, average over them first and pass an axis of length 1. Intervals from fewer than about eight
    bases are too narrow. All cells use the same resamples, `draws` of them.
    """
    rng = np.random.default_rng(seed)
    bases, sets = values.shape[:2]
    of_bases = rng.multinomial(bases, np.full(bases, 1 / bases), draws) / bases
    of_sets = rng.multinomial(sets, np.full(sets, 1 / sets), draws) / sets
    means = np.einsum("db,ds,bs...->d...", of_bases, of_sets, values, optimize=True)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return np.asarray(values.mean((0, 1))), np.asarray(low), np.asarray(high)


def over_bases(rows: "pd.DataFrame", column: str) -> tuple[float, float, float]:
    """Return a column's mean over bases and its 95 % bootstrap interval: mean, low and high.

    A base is identified by the column `seed`, and all bases have equal weight, however many rows
    they have. Where a row is one sentence that asks, sentences are redrawn, too. TableError if the
    rows lack the column or `seed`.
    """
    mean, low, high = bootstrap_mean(blocks(rows, column))
    return float(mean), float(low), float(high)


def median_over_bases(rows: "pd.DataFrame", column: str) -> tuple[float, float, float]:
    """Return the median over bases of a column's means, and its 95 % bootstrap interval.

    For columns in which one base may outweigh all others. TableError as in `over_bases`.
    """
    values = blocks(rows, column).mean(axis=1)
    drawn = np.median(np.random.default_rng(0).choice(values, (2000, len(values))), axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(np.median(values)), float(low), float(high)


def blocks(rows: "pd.DataFrame", column: str) -> Float[np.ndarray, "bases sentences"]:
    """Return the mean of a column on each base, by `seed`, and in each `sentence` of the table.

    One block a base if the table does not tell sentences apart. TableError if a sentence was not
    asked on every base.
    """
    for name in ("seed", column):
        if name not in rows:
            message = f"the table has no column {name}; it has {', '.join(rows)}"
            raise TableError(message)
    by = ["seed"] if "sentence" not in rows else ["seed", "sentence"]
    means = rows.groupby(by)[column].mean().dropna()
    wide = means.unstack() if len(by) == 2 else means.to_frame()  # noqa: PD010  # which is slower
    if wide.isna().to_numpy().any():
        message = f"{column}: not every sentence was asked on every base: choose those that were"
        raise TableError(message)
    return wide.to_numpy(float)


def lookup(rows: "pd.DataFrame", column: str, by: Sequence[str]) -> Float[np.ndarray, " n"]:
    """Return for each row the column's mean in the same condition on all other bases.

    A condition is a set of values of the columns `by`; NaN where it is on one base alone.
    """
    every, own = (rows.groupby(list(x), dropna=False)[column] for x in (by, (*by, "seed")))
    total, count = (every.transform(x) - own.transform(x) for x in ("sum", "count"))
    return np.asarray(total / count.where(count > 0), dtype=float)


FREE = ("seed", "seeds", "sets", "steps", "stages")
"""Fields of a config that set how often or how finely something is measured, but not what."""
METRICS = (
    *("two_hop", "k_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "other_k_hop"),
    *("stepwise", "answered", "step_1", "step_2", "rate"),
    *("overlap", "shape", "read", "write", "response", "agreement"),
    *("base", "alone_1", "alone_2", "mean", "sum", "ties", "arrow", "gates", "composed"),
)
"""Columns that `replayed` compares: of facts, problems, similarities of adapters, and rules."""
GRAIN = 0.05
"""The difference of means that is allowed even where all stored bases are equal."""
DEVIATIONS = 4

Cells = Sequence[tuple[Any, "pd.DataFrame"]]
"""Pairs of a config and its rows."""


@dataclass(frozen=True)
class Replay:
    """How a table that was made again compares with the stored one.

    `means` is the number of means compared, `missing` that of the new cells whose config the stored
    table lacks; `outside` has a line for each mean that differs by more than chance allows.
    """

    means: int
    missing: int
    outside: tuple[str, ...]


def replayed(made: Cells, stored: Cells) -> Replay:
    """Compare the mean accuracies of two runs in each setting; cells are as `stored_cells` returns.

    Means are compared rather than rows, since rounding in training differs between machines. Rows
    belong to one setting if their configs agree except in the fields `FREE`, and so do the columns
    up to ``set`` or ``coefficient``, or else up to the first metric. Tables without a column
    ``seed`` are exact and are not compared. A mean counts as outside if it differs from the stored
    one by more than a twentieth plus four standard errors of the difference. Their standard
    deviation is that of the stored bases in the setting or, if larger, that of the metric over all
    settings, since a few bases may agree by chance.
    """
    configs = {_measured(config) for config, _ in stored}
    missing = sum(_measured(config) not in configs for config, _ in made)
    new, old = _means(made), _means(stored)
    if new is None or old is None:
        return Replay(0, missing, ())
    old = old[old["count"] > 1]
    usual = (old["std"] ** 2).groupby(level="metric").mean() ** 0.5
    both = new.add_suffix("_made").join(old, how="inner")
    metric = both.index.get_level_values("metric")
    spread = np.maximum(both["std"], usual.reindex(metric).to_numpy())
    room = GRAIN + DEVIATIONS * spread * np.sqrt(1 / both["count_made"] + 1 / both["count"])
    off = both.assign(room=room)[abs(both["mean_made"] - both["mean"]) > room].reset_index()
    lines = [
        f"{one.names}: {one.metric} is {one.mean_made:.2f}, stored {one.mean:.2f} ± {one.room:.2f}"
        for one in off.itertuples()
    ]
    return Replay(len(both), missing, tuple(sorted(lines)))


def _measured(config: Any) -> str:
    """What a config measures, whatever how often."""
    fields = {name: value for name, value in plain(config).items() if name not in FREE}
    return json.dumps(fields, sort_keys=True)


def _means(cells: Cells) -> "pd.DataFrame | None":
    """Mean, spread and number of bases of each metric in each setting; None for exact tables."""
    import pandas as pd

    parts = []
    for config, rows in cells:
        if "seed" not in rows:
            continue
        metrics = [metric for metric in METRICS if metric in rows]
        named = rows[_names(rows, metrics)].map(word)
        names = named.agg(", ".join, axis=1) if named.shape[1] else ""
        part = rows[["seed", *metrics]].assign(config=_measured(config), names=names)
        parts.append(part.melt(["config", "names", "seed"], var_name="metric"))
    if not parts:
        return None
    # edit sets of one base share its fate: first the mean on each base, then over bases
    setting = ["config", "names", "metric"]
    of_bases = pd.concat(parts).groupby([*setting, "seed"])["value"].mean().dropna()
    return of_bases.groupby(level=setting).agg(["mean", "std", "count"])


def _names(rows: "pd.DataFrame", metrics: Sequence[str]) -> list[str]:
    """The columns that say what was asked, but for those that tell replicas apart."""
    columns = list(rows)
    last = [columns.index(name) for name in ("set", "coefficient") if name in columns]
    count = max(last) + 1 if last else min(columns.index(metric) for metric in metrics)
    return [name for name in columns[:count] if name not in ("seed", "set")]
