"""The former place of `loratheory.store.cache_folder`."""

from loratheory.store import cache_folder as cache_folder
