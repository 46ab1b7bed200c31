"""The command, run in this process and in an empty folder."""

import pytest
from typer.testing import CliRunner

from loratheory.cli import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function from words to exit code, stdout and stderr; a crash stays a crash."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")

    def _run(*words):
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return _run
