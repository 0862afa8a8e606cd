"""A language model in a page: after which words does which word come, in the help texts that CPython ships?

A token is a word with the blanks before it, so joining tokens gives text back. The next token is drawn from all that
followed the longest known context; a context with one continuation only is shortened, or the model would merely recite.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import cast

from smruntime_core import InvokeEndpoint

from ._container import JSON, TEXT, Reply, reply, sends_json, wants, wants_json

ORDER = 3  # words of context at most
MAX_TOKENS = 2048
SSE = "text/event-stream"
JSON_LINES = "application/jsonlines"

_find_tokens = re.compile(r"\s*(?:\w+|[^\w\s])").findall


def _tokens(text: str) -> list[str]:
    """Return the tokens of `text`.

    Blanks at the end make none; the search would begin anew at each of them (quadratic).
    """
    return _find_tokens(text.rstrip())


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


def generate(prompt: str, *, max_tokens: int, seed: int) -> Iterator[str]:
    """What might come after `prompt`, token by token: the same for the same arguments and the same Python."""
    known, draw = followers(), random.Random(seed)  # noqa: S311 - a model's dice, no secret
    context = [token.strip() for token in _tokens(prompt)][-ORDER:]
    for _ in range(max_tokens):
        candidates = known[()]
        for start in range(len(context)):
            found = known.get(tuple(context[start:]), [])
            if len(set(found)) > 1:
                candidates = found
                break
        token = draw.choice(candidates)
        yield token
        context = [*context, token.strip()][-ORDER:]


def answer(call: InvokeEndpoint) -> Reply:
    """A continuation of the prompt in `call` as text, JSON, JSON lines or server-sent events; a token makes a part."""
    prompt, max_tokens, seed = _asked(bytes(call.body).decode(), as_json=sends_json(call))
    tokens = generate(prompt, max_tokens=max_tokens, seed=seed)
    if wants(call, SSE):
        return reply(call, SSE, _events(tokens))
    if wants(call, JSON_LINES):
        return reply(
            call, JSON_LINES, (f"{_json({'token': token})}\n".encode() for token in tokens)
        )
    if wants_json(call):
        return reply(call, JSON, _document(tokens, prompt, max_tokens, seed))
    return reply(call, TEXT, (token.encode() for token in tokens))


def _events(tokens: Iterable[str]) -> Iterator[bytes]:
    for token in tokens:
        yield f"data: {_json({'token': token})}\n\n".encode()
    yield b"data: [DONE]\n\n"


def _document(tokens: Iterable[str], prompt: str, max_tokens: int, seed: int) -> Iterator[bytes]:
    """One JSON object, begun before its text is known."""
    yield f'{{"prompt": {_json(prompt)}, "text": "'.encode()
    for token in tokens:
        yield _json(token)[1:-1].encode()
    yield f'", "max_tokens": {max_tokens}, "seed": {seed}}}'.encode()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _asked(text: str, *, as_json: bool) -> tuple[str, int, int]:
    parsed: object = json.loads(text) if as_json else {"prompt": text}
    if not isinstance(parsed, dict):
        raise ValueError('the JSON body must be {"prompt": "…", "max_tokens": 64, "seed": 0}')
    document = cast("dict[str, object]", parsed)
    prompt, max_tokens, seed = (
        document.get("prompt"),
        document.get("max_tokens", 64),
        document.get("seed", 0),
    )
    if not isinstance(prompt, str):
        raise ValueError("prompt must be text")
    if type(max_tokens) is not int or not 1 <= max_tokens <= MAX_TOKENS:
        raise ValueError(f"max_tokens must be an integer from 1 to {MAX_TOKENS}")
    if type(seed) is not int:
        raise ValueError("seed must be an integer")
    return prompt, max_tokens, seed
