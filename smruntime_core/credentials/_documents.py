"""Answers that hold credentials, JSON or XML: read strictly, and never quoted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

from ..errors import CredentialsError, escape_unprintable
from ..values._credentials import Credentials
from ..values._dates import parse_rfc3339
from ..values._http import Response
from ..values._redacted import RedactedMapping
from ._context import MAX_DOCUMENT, Blaming

_leaf = re.compile(rb"<([A-Za-z][A-Za-z0-9]*)(?:\s[^<>]*)?>([^<>]*)</\1\s*>").finditer
_reference = re.compile("&(#[0-9]{1,7}|#x[0-9a-fA-F]{1,6}|[a-z]{2,4});").sub
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def json_object(body: bytes, where: str) -> RedactedMapping[object]:
    """Return the JSON object in `body`, whose repr shows no values; raises `CredentialsError`."""
    import json  # 5 ms that keys in the environment do not pay

    found: object = None
    with suppress(ValueError, RecursionError):
        found = json.loads(body) if len(body) <= MAX_DOCUMENT else None
    if not isinstance(found, dict):
        raise CredentialsError(
            f"{where}: the answer is not a JSON object of at most {MAX_DOCUMENT} bytes (it has {len(body)})"
        )
    return RedactedMapping(cast("dict[str, object]", found))


def xml_leaves(body: bytes, where: str) -> RedactedMapping[str]:
    """What stands in the elements of an XML document that hold only text, by name; of equal names the first.

    AWS answers in plain elements, so a document that declares or escapes anything beside them is refused: nothing can expand.
    """
    if len(body) > MAX_DOCUMENT or b"<!" in body or not body.isascii():
        raise CredentialsError(
            f"{where}: the answer is not plain XML of at most {MAX_DOCUMENT} bytes"
        )
    leaves: dict[str, str] = {}
    for found in _leaf(body):
        leaves.setdefault(found[1].decode(), _reference(_character, found[2].decode()))
    return RedactedMapping(leaves)


def _character(found: re.Match[str]) -> str:
    """What a reference stands for; itself if that is nothing."""
    name = found[1]
    if name[0] != "#":
        return _ENTITIES.get(name, found[0])
    number = int(name[2:], 16) if name[1] == "x" else int(name[1:])
    return chr(number) if number < 0x110000 else found[0]


def credentials(said: RedactedMapping[object], where: str, *, expires: bool = True) -> Credentials:
    """What a document says; its names may be in any case, and the token's varies. Raises `CredentialsError`."""
    named = RedactedMapping({name.lower(): value for name, value in said.items()})
    if text(named, "code") not in (None, "Success"):
        raise CredentialsError(f"{where}: refused with {brief(named)}")
    for name in ("AccessKeyId", "SecretAccessKey"):
        if text(named, name.lower()) is None:
            raise CredentialsError(f"{where}: the answer has no {name}")
    expires_at = parse_rfc3339(text(named, "expiration") or "")
    if expires_at is None and (expires or named.get("expiration") is not None):
        raise CredentialsError(f"{where}: when it expires is not a time like 2026-01-31T23:59:59Z")
    with Blaming(where):
        return Credentials(
            text(named, "accesskeyid") or "",
            text(named, "secretaccesskey") or "",
            text(named, "sessiontoken") or text(named, "token"),
            expires_at,
            text(named, "accountid"),
        )


def nested(said: Mapping[str, object], name: str) -> RedactedMapping[object] | None:
    """The object under `name`, None if there is none."""
    value = said.get(name)
    return (
        RedactedMapping(cast("Mapping[str, object]", value)) if isinstance(value, Mapping) else None
    )


def number(said: Mapping[str, object], name: str, most: int) -> int | None:
    """The whole number from 0 to `most` under `name`, None if there is none."""
    value = said.get(name)
    return (
        value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
        else None
    )


def text(said: Mapping[str, object], name: str) -> str | None:
    """The text under `name`, None if there is none."""
    value = said.get(name)
    return value if isinstance(value, str) and value else None


def brief(said: Mapping[str, object]) -> str:
    """The code and the explanation in a refusal, cut short."""
    named = RedactedMapping({name.lower(): value for name, value in said.items()})
    words = (text(named, name) for name in ("code", "error", "message", "error_description"))
    return (
        escape_unprintable(": ".join(dict.fromkeys(filter(None, words)))[:300]) or "no explanation"
    )


def explained(response: Response) -> str | None:
    """The code and the explanation in a refusal as JSON; None if it is none."""
    try:
        return brief(json_object(response.body, ""))
    except CredentialsError:
        return None
