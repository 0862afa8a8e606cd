"""The published conformance cases; tests skip where they are not beside the checkout."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from smruntime_core import Credentials, Request, Scope
from smruntime_core.signing import Dialect

FOLDER = Path(__file__).parents[2] / "shared" / "vectors"
AKID = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = 1440938160  # 2015-08-30T12:36:00Z
HOST = "https://example.amazonaws.com"


def cases(
    name: str,
    pick: Callable[[Any], list[Any]] = list,
    label: Callable[[Any], object] = itemgetter("name"),
) -> list[Any]:
    """Return the parameters for the cases of a file that `pick` returns, or one that is skipped."""
    path = FOLDER / name
    if not path.exists():
        return [
            pytest.param(
                None,
                marks=pytest.mark.skip(reason="the shared vectors are not beside this checkout"),
            )
        ]
    return [pytest.param(case, id=str(label(case))) for case in pick(json.loads(path.read_bytes()))]


class Case:
    """A case of `sigv4.json` or `sigv4a.json` as records of this library."""

    def __init__(self, case: Any) -> None:
        context = case["context"]
        keys = context["credentials"]
        self.credentials = Credentials(
            keys["access_key_id"], keys["secret_access_key"], keys.get("token")
        )
        self.scope = Scope(context["region"], context["service"])
        self.expires: int = context["expiration_in_seconds"]
        self.dialect = Dialect(
            normalize_path=context["normalize"],
            add_payload_hash=context["sign_body"],
            sign_session_token=not context.get("omit_session_token", False),
        )
        self.request = _parsed(case["request"]) if "request" in case else _read(case)


def _read(case: Any) -> Request:
    headers = tuple((name, value) for name, value in case["headers"])
    return Request(
        case["method"], HOST + case["target"], headers, base64.b64decode(case["body_b64"])
    )


def _parsed(text: str) -> Request:
    """Return an HTTP request in aws-c-auth's notation: folded lines, blanks in the target."""
    head, _, body = text.partition("\n\n")
    request_line, *lines = head.rstrip("\n").split("\n")
    method, _, rest = request_line.partition(" ")
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[0] in " \t":
            headers[-1] = (headers[-1][0], f"{headers[-1][1]}\n{line}")
        else:
            name, _, value = line.partition(":")
            headers.append((name, value))
    return Request(method, HOST + rest.rpartition(" ")[0], tuple(headers), body.encode())
