"""interfere: refusals of the command; what it measures is tested with its blocks."""

import pytest
from typer.testing import CliRunner

from loratheory.cli import app


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--workers", "2", "--dask", "tcp://x:1"], "exclude each other"),
        ([], "holds 0 adapters: name a folder with at least two"),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(tmp_path, words, told):
    done = CliRunner().invoke(app, ["interfere", str(tmp_path), *words])
    assert done.exit_code == 2
    assert told in done.output


@pytest.mark.parametrize("key", ["base_model_name_or_path", "revision"])
def test_adapters_of_different_bases_are_refused_as_diagnose_does(tmp_path, key):
    from folders import folder

    for name in ("one", "other"):
        folder(tmp_path / "shelf" / name, **{key: name})
    words = ["interfere", str(tmp_path / "shelf"), "-o", str(tmp_path / "out"), "--workers", "1"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "'other', that of" in done.output
    assert CliRunner().invoke(app, [*words, "--any-base"]).exit_code == 0


def test_the_loudest_pair_comes_first(tmp_path):
    from folders import folder

    for number in range(3):
        folder(tmp_path / "shelf" / f"a{number}", {"layers.0.q": (6, 4, 2)}, seed=number)
    words = [str(tmp_path / "shelf"), "-o", str(tmp_path / "out"), "--workers", "1"]
    done = CliRunner().invoke(app, ["interfere", *words])
    assert done.exit_code == 0, done.output
    assert "3 adapters, 6 ordered pairs → " in done.output
    lines = [line.split() for line in done.output.splitlines()]
    worst = [float(words[2]) for words in lines if len(words) == 5 and words[0][:1] == "a"]
    assert len(worst) == 6
    assert worst == sorted(worst, reverse=True)
    assert (tmp_path / "out" / "interference_matrix" / "names.txt").read_text() == "a0\na1\na2\n"
    assert CliRunner().invoke(app, ["interfere", *words]).exit_code == 2
