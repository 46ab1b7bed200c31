"""The command, run in this process and in an empty folder; a small model with two adapters."""

import pytest
from language import network, save_adapter, tokenizer
from typer.testing import CliRunner

from loratheory.cli import app, data


@pytest.fixture(scope="session")
def commands():
    """The words of every command."""
    found = [[one.callback.__name__] for one in app.registered_commands]
    names = [one.callback.__name__.replace("_", "-") for one in data.registered_commands]
    return [*found, *(["data", name] for name in names)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a model, `base`, which reads words, and two adapters on it, `one` and `two`."""
    home = tmp_path_factory.mktemp("home")
    network("llama").save_pretrained(home / "base")
    tokenizer(home / "base")
    for seed, name in enumerate(("one", "two")):
        save_adapter(home / name, "llama", seed)
    return home


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
