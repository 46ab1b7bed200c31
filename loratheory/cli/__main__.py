"""``python -m loratheory.cli`` is the command ``loratheory``."""

from loratheory.cli import app

app(prog_name="loratheory")
