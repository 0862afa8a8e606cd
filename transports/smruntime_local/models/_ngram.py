"""A small language model, trained with the help texts that are part of CPython.

A token is a word with the whitespace before it, so that joined tokens are text again. The next
token is drawn from all that followed the longest known context. A context with only one
continuation is shortened, or the model would repeat the texts.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Final, TypeAlias, cast

from smruntime_core import InvokeEndpoint

from ._container import (
    JSON_TYPE,
    TEXT_TYPE,
    ContainerReply,
    Model,
    accepts_json,
    accepts_type,
    make_reply,
    sends_json,
)

CONTEXT_LENGTH: Final = 3  # words at most
MAX_TOKENS: Final = 2048
EVENT_STREAM_TYPE: Final = "text/event-stream"
JSON_LINES_TYPE: Final = "application/jsonlines"

Continuations: TypeAlias = "Mapping[tuple[str, ...], list[str]]"

_find_tokens = re.compile(r"\s*(?:\w+|[^\w\s])").findall


def split_tokens(text: str) -> list[str]:
    """Return the tokens of `text`.

    Whitespace at the end is removed first: the search would start at each of its characters.
    """
    return _find_tokens(text.rstrip())


def train() -> Model:
    """Return the model after its training, which takes half a second."""
    learn_continuations()
    return respond


@cache
def learn_continuations() -> Continuations:
    """Return each context of up to `CONTEXT_LENGTH` words with the tokens that followed it.

    The first call takes half a second.
    """
    from pydoc_data.topics import topics

    continuations: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for topic in sorted(topics):
        tokens = split_tokens(topics[topic])
        words = [token.strip() for token in tokens]
        for index, token in enumerate(tokens):
            for length in range(min(CONTEXT_LENGTH, index) + 1):
                continuations[tuple(words[index - length : index])].append(token)
    return dict(continuations)


def generate_tokens(prompt: str, *, max_tokens: int, seed: int) -> Iterator[str]:
    """Yield tokens that continue `prompt`; they depend on the arguments and on Python's version."""
    generator = random.Random(seed)  # noqa: S311 - a model's dice, no secret
    context = [token.strip() for token in split_tokens(prompt)][-CONTEXT_LENGTH:]
    for _ in range(max_tokens):
        token = generator.choice(_find_candidates(context))
        yield token
        context = [*context, token.strip()][-CONTEXT_LENGTH:]


def _find_candidates(context: list[str]) -> list[str]:
    """Return what followed the longest end of `context` that has several continuations."""
    continuations = learn_continuations()
    for start in range(len(context)):
        candidates = continuations.get(tuple(context[start:]), [])
        if len(set(candidates)) > 1:
            return candidates
    return continuations[()]


def respond(call: InvokeEndpoint) -> ContainerReply:
    """Return a continuation of the prompt, a part for each token, in the format of `accept`."""
    prompt, max_tokens, seed = _parse_prompt(bytes(call.body).decode(), is_json=sends_json(call))
    tokens = generate_tokens(prompt, max_tokens=max_tokens, seed=seed)
    if accepts_type(call, EVENT_STREAM_TYPE):
        return make_reply(call, EVENT_STREAM_TYPE, _generate_events(tokens))
    if accepts_type(call, JSON_LINES_TYPE):
        json_lines = (f"{_to_json({'token': token})}\n" for token in tokens)
        return make_reply(call, JSON_LINES_TYPE, (line.encode() for line in json_lines))
    if accepts_json(call):
        return make_reply(call, JSON_TYPE, _generate_document(tokens, prompt, max_tokens, seed))
    return make_reply(call, TEXT_TYPE, (token.encode() for token in tokens))


def _generate_events(tokens: Iterable[str]) -> Iterator[bytes]:
    for token in tokens:
        yield f"data: {_to_json({'token': token})}\n\n".encode()
    yield b"data: [DONE]\n\n"


def _generate_document(
    tokens: Iterable[str], prompt: str, max_tokens: int, seed: int
) -> Iterator[bytes]:
    """Yield one JSON object in parts, which starts before its text is known."""
    yield f'{{"prompt": {_to_json(prompt)}, "text": "'.encode()
    for token in tokens:
        yield _to_json(token)[1:-1].encode()
    yield f'", "max_tokens": {max_tokens}, "seed": {seed}}}'.encode()


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _parse_prompt(text: str, *, is_json: bool) -> tuple[str, int, int]:
    document: object = json.loads(text) if is_json else {"prompt": text}
    if not isinstance(document, dict):
        raise ValueError('the JSON body must be {"prompt": "…", "max_tokens": 64, "seed": 0}')
    members = cast("dict[str, object]", document)
    prompt, max_tokens = members.get("prompt"), members.get("max_tokens", 64)
    seed = members.get("seed", 0)
    if not isinstance(prompt, str):
        raise ValueError("prompt must be text")
    if type(max_tokens) is not int or not 1 <= max_tokens <= MAX_TOKENS:
        raise ValueError(f"max_tokens must be an integer from 1 to {MAX_TOKENS}")
    if type(seed) is not int:
        raise ValueError("seed must be an integer")
    return prompt, max_tokens, seed
