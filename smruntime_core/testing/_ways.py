"""How scenarios are put together: an answer on the first connection, and a healthy call afterwards that shows what it did to the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._scenario import Answer, Failure, Refusal, Scenario
from ._server import End, fin, first, keep, rst

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
NO_BODY = b"Content-Length: 0\r\n\r\n"

Ends: dict[str, End] = {"FIN": fin, "RST": rst}


def refused(
    row: str, name: str, raw: bytes, kind: str = "protocol", *, end: End = keep, **more: Any
) -> Scenario:
    """`raw` is no answer, and that shows before its body; the model is not run again, the connection not used again."""
    return fails(row, name, raw, Failure(kind, "head", "maybe_sent"), end=end, **more)


def misframed(
    row: str, name: str, raw: bytes, kind: str = "protocol", *, end: End = keep, **more: Any
) -> Scenario:
    """The head of `raw` is one, its body is not."""
    return fails(row, name, raw, Failure(kind, "body", "answered", 200), end=end, **more)


def fails(
    row: str, name: str, raw: bytes, right: Failure, *, end: End = keep, **more: Any
) -> Scenario:
    """`raw`, sent on a fresh connection, comes to `right`."""
    settings: dict[str, Any] = {
        "script": first(raw, end=end),
        "connections": 2,
        "short": len(raw) < 2000,
        **more,
    }
    return Scenario(row=row, name=name, right=(right.replace(reused=False), Answer()), **settings)


def cut(row: str, name: str, raw: bytes, right: Failure) -> list[Scenario]:
    """`raw`, and then the connection ends, in each way: in order, or broken."""
    kinds = {"FIN": right.kind, "RST": "reset"}
    return [
        fails(row, f"{name}, {way}", raw, right.replace(kind=kinds[way]), end=end)
        for way, end in Ends.items()
    ]


def whole(
    row: str, name: str, raw: bytes, body: bytes, *, kept: bool = True, end: End = keep, **more: Any
) -> Scenario:
    """`raw` is an answer with `body`; its connection is `kept` for the next call, or must not be."""
    right = (more.pop("answer", Answer(body)), Answer())
    settings: dict[str, Any] = {
        "script": first(raw, end=end),
        "connections": 1 if kept else 2,
        "short": len(raw) < 2000,
        **more,
    }
    return Scenario(row=row, name=name, right=right, **settings)


def no(
    row: str,
    name: str,
    raw: bytes,
    right: Refusal,
    *,
    kept: bool = True,
    end: End = keep,
    **more: Any,
) -> Scenario:
    """`raw` is an error of the service's."""
    return whole(row, name, raw, b"", kept=kept, end=end, answer=right, short=False, **more)


def several(
    make: Callable[..., Scenario], row: str, ways: dict[str, bytes], *rest: Any, **more: Any
) -> list[Scenario]:
    """One scenario for each of `ways`, by its name."""
    return [make(row, name, raw, *rest, **more) for name, raw in ways.items()]
