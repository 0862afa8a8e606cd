"""A language model in a page: after which words does which word come, in the help texts that CPython ships?

A token is a word with the blanks before it, so joining tokens gives text back. The next token is drawn from all that
followed the longest known context; a context with one continuation only is shortened, or the model would merely recite.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from functools import cache
from typing import cast

from smruntime_core import InvokeEndpoint

from ._container import JSON, sends_json, wants_json

ORDER = 3  # words of context at most
MAX_TOKENS = 2048

_tokens = re.compile(r"\s*(?:\w+|[^\w\s])").findall


@cache
def followers() -> dict[tuple[str, ...], list[str]]:
    """Every context of up to `ORDER` words, and what followed it as often as it did. Takes half a second, once."""
    from pydoc_data.topics import topics

    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in sorted(topics):
        tokens = _tokens(topics[name])
        words = [token.strip() for token in tokens]
        for index, token in enumerate(tokens):
            for length in range(min(ORDER, index) + 1):
                found[tuple(words[index - length : index])].append(token)
    return dict(found)


def generate(prompt: str, *, max_tokens: int, seed: int) -> str:
    """What might come after `prompt`: the same for the same arguments and the same Python."""
    known, draw = followers(), random.Random(seed)  # noqa: S311 - a model's dice, no secret
    context = [token.strip() for token in _tokens(prompt)][-ORDER:]
    made: list[str] = []
    for _ in range(max_tokens):
        candidates = known[()]
        for start in range(len(context)):
            found = known.get(tuple(context[start:]), [])
            if len(set(found)) > 1:
                candidates = found
                break
        token = draw.choice(candidates)
        made.append(token)
        context = [*context, token.strip()][-ORDER:]
    return "".join(made)


def answer(call: InvokeEndpoint) -> tuple[str, bytes]:
    """A continuation of the prompt in `call`, as text or as JSON."""
    prompt, max_tokens, seed = _asked(bytes(call.body).decode(), as_json=sends_json(call))
    text = generate(prompt, max_tokens=max_tokens, seed=seed)
    if wants_json(call):
        return JSON, json.dumps({"prompt": prompt, "text": text, "max_tokens": max_tokens, "seed": seed}).encode()
    return "text/plain; charset=utf-8", text.encode()


def _asked(text: str, *, as_json: bool) -> tuple[str, int, int]:
    parsed: object = json.loads(text) if as_json else {"prompt": text}
    if not isinstance(parsed, dict):
        raise ValueError('the JSON body must be {"prompt": "…", "max_tokens": 64, "seed": 0}')
    document = cast("dict[str, object]", parsed)
    prompt, max_tokens, seed = document.get("prompt"), document.get("max_tokens", 64), document.get("seed", 0)
    if not isinstance(prompt, str):
        raise ValueError("prompt must be text")
    if type(max_tokens) is not int or not 1 <= max_tokens <= MAX_TOKENS:
        raise ValueError(f"max_tokens must be an integer from 1 to {MAX_TOKENS}")
    if type(seed) is not int:
        raise ValueError("seed must be an integer")
    return prompt, max_tokens, seed
