"""Conversations as prompts: rows of messages, written out by the tokenizer's chat template."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from loratheory.pretrained.models import Model, failure
from loratheory.pretrained.stand_ins import are_texts


def split_messages(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `messages` as `prompt`, the messages in JSON, and `completion`.

    The completion is the last message if it is the assistant's. Empty if there are no messages.
    """
    messages, answer = row.get("messages"), None
    if not isinstance(messages, list):
        return {}
    for one in messages:
        if not isinstance(one, dict) or not are_texts([one.get("role"), one.get("content")]):
            return {}
    if messages and messages[-1]["role"] == "assistant":
        messages, answer = messages[:-1], messages[-1]["content"]
    return {"prompt": json.dumps(messages), "completion": answer} if messages else {}


def render_chats(model: Model, groups: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return groups of prompts that are messages in JSON, as the model's chat template has them.

    Raises `ModelError` if the tokenizer has no chat template, or the template rejects messages.
    """
    rendered: dict[str, Any] = {}
    for name, pairs in groups.items():
        texts = map(partial(_render, model), pairs)
        rendered[name] = dict(zip(texts, pairs.values(), strict=True))
    return rendered


def _render(model: Model, prompt: str) -> str:
    tokenizer, messages = model.tokenizer, json.loads(prompt)
    if not getattr(tokenizer, "chat_template", None):
        fact = "its tokenizer has no chat template"
        raise failure(model, fact, "write prompts as the adapters saw them, without --chat")
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    # Templates are programs, and raise what they like.
    except Exception as error:
        fact = f"its chat template rejects {messages} ({str(error).partition(chr(10))[0]})"
        raise failure(model, fact, "give the roles in the order that it asks for") from error
    # What the tokenizer itself puts first must not come twice.
    first = str(tokenizer.bos_token or "")
    return str(text.removeprefix(first) if len(tokenizer(first)["input_ids"]) > 1 else text)
