"""Files of strangers: opened or refused by name, JSON objects parsed without surprise."""

import json
import os
from io import BufferedReader
from pathlib import Path
from typing import Any

from loratheory.adapters._adapter import AdapterError, refusal, shown

RESTORE = "restore the file as PEFT saved it"


def unreadable(path: Path, error: Exception) -> AdapterError:
    """The error for a file that the system does not let us read."""
    reason = getattr(error, "strerror", None) or str(error)
    return refusal(path, f"cannot be read ({reason})", "check that it exists and may be read")


def opened(path: Path) -> BufferedReader:
    """The file, open for reading."""
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from None


def json_file(path: Path, limit: int, remedy: str = RESTORE) -> dict[str, Any]:
    """Return the JSON object that a file of at most `limit` bytes holds; see `json_object`."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise refusal(path, f"has {size} bytes, over {limit}", "use the adapter's own file")
        try:
            return json_object(path, file.read(), remedy)
        except OSError as error:
            raise unreadable(path, error) from None


def json_object(path: Path, text: bytes, remedy: str = RESTORE) -> dict[str, Any]:
    """Return the JSON object in `text`: no key twice, no NaN, nothing nested beyond reason."""

    def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in values if keys.count(key) > 1)
            raise refusal(path, f"the key {shown(twice)} occurs twice", remedy)
        return values

    def _number(word: str) -> float:
        raise refusal(path, f"holds the number {word}, which is not JSON", remedy)

    try:
        values = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_number)
    except AdapterError:
        raise
    except UnicodeDecodeError as error:
        raise refusal(path, f"byte {error.start} is not UTF-8 text", remedy) from None
    except RecursionError:
        raise refusal(path, "the JSON is nested too deeply", remedy) from None
    except ValueError as error:
        raise refusal(path, f"is not JSON ({error})", remedy) from None
    if not isinstance(values, dict):
        raise refusal(path, f"holds {shown(values)}, not a JSON object", remedy)
    return values
