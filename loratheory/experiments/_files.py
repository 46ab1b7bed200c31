"""The former place of `loratheory.store.write_whole`."""

from loratheory.store import write_whole as whole

__all__ = ["whole"]
