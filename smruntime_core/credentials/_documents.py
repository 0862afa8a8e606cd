"""Parse answers that hold credentials, JSON or XML, strictly and without quoting them in errors."""

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
from ._context import MAX_DOCUMENT, CredentialsErrorContext

_TEXT_ELEMENT = re.compile(rb"<([A-Za-z][A-Za-z0-9]*)(?:\s[^<>]*)?>([^<>]*)</\1\s*>")
_REFERENCE = re.compile("&(#[0-9]{1,7}|#x[0-9a-fA-F]{1,6}|[a-z]{2,4});")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def parse_json_object(body: bytes, origin: str) -> RedactedMapping[object]:
    """Return the JSON object in `body`; raise `CredentialsError` for anything else."""
    import json  # 5 ms that keys in the environment do not need

    document: object = None
    with suppress(ValueError, RecursionError):
        document = json.loads(body) if len(body) <= MAX_DOCUMENT else None
    if not isinstance(document, dict):
        raise CredentialsError(
            f"{origin}: the answer is not a JSON object of at most {MAX_DOCUMENT} bytes "
            f"(it has {len(body)} bytes)"
        )
    return RedactedMapping(cast("dict[str, object]", document))


def parse_xml_leaves(body: bytes, origin: str) -> RedactedMapping[str]:
    """Return the text of the XML elements that hold only text, by name; the first of equal names.

    AWS answers in plain elements, so a document with declarations, CDATA or comments is refused:
    no entity can expand.
    """
    if len(body) > MAX_DOCUMENT or b"<!" in body or not body.isascii():
        raise CredentialsError(
            f"{origin}: the answer is not plain XML of at most {MAX_DOCUMENT} bytes"
        )
    leaves: dict[str, str] = {}
    for match in _TEXT_ELEMENT.finditer(body):
        leaves.setdefault(match[1].decode(), _REFERENCE.sub(_resolve_reference, match[2].decode()))
    return RedactedMapping(leaves)


def _resolve_reference(match: re.Match[str]) -> str:
    """Return the character of a reference, or the reference itself if it is unknown."""
    reference = match[1]
    if reference[0] != "#":
        return _ENTITIES.get(reference, match[0])
    code_point = int(reference[2:], 16) if reference[1] == "x" else int(reference[1:])
    return chr(code_point) if code_point < 0x110000 else match[0]


def parse_credentials(
    document: Mapping[str, object], origin: str, *, requires_expiry: bool = True
) -> Credentials:
    """Return the credentials in a document; the case of its names does not matter.

    Raises `CredentialsError` for a refusal and for missing or invalid members.
    """
    members = RedactedMapping({name.lower(): value for name, value in document.items()})
    if text_member(members, "code") not in (None, "Success"):
        raise CredentialsError(f"{origin}: refused with {describe_refusal(members)}")
    for required_name in ("AccessKeyId", "SecretAccessKey"):
        if text_member(members, required_name.lower()) is None:
            raise CredentialsError(f"{origin}: the answer has no {required_name}")
    expires_at = parse_rfc3339(text_member(members, "expiration") or "")
    if expires_at is None and (requires_expiry or members.get("expiration") is not None):
        raise CredentialsError(
            f"{origin}: the answer does not say when it expires "
            "(Expiration must be a time like 2026-01-31T23:59:59Z)"
        )
    with CredentialsErrorContext(origin):
        return Credentials(
            text_member(members, "accesskeyid") or "",
            text_member(members, "secretaccesskey") or "",
            text_member(members, "sessiontoken") or text_member(members, "token"),
            expires_at,
            text_member(members, "accountid"),
        )


def object_member(document: Mapping[str, object], name: str) -> RedactedMapping[object] | None:
    """Return a member that is an object, None if it is missing or of another type."""
    value = document.get(name)
    if not isinstance(value, Mapping):
        return None
    return RedactedMapping(cast("Mapping[str, object]", value))


def integer_member(document: Mapping[str, object], name: str, maximum: int) -> int | None:
    """Return a member that is a whole number from 0 to `maximum`, None for any other."""
    value = document.get(name)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return cast("int", value) if is_integer and 0 <= cast("int", value) <= maximum else None


def text_member(document: Mapping[str, object], name: str) -> str | None:
    """Return a member that is a text, None if it is missing, empty or of another type."""
    value = document.get(name)
    return value if isinstance(value, str) and value else None


def describe_refusal(document: Mapping[str, object]) -> str:
    """Return the code and the message in a refusal, at most 300 characters before escaping."""
    members = RedactedMapping({name.lower(): value for name, value in document.items()})
    names = ("code", "error", "message", "error_description")
    texts = filter(None, (text_member(members, name) for name in names))
    description = ": ".join(dict.fromkeys(texts))
    return escape_unprintable(description[:300]) or "no explanation"


def explain_json_refusal(response: Response) -> str | None:
    """Return the code and the message in a JSON refusal, None for another body."""
    try:
        return describe_refusal(parse_json_object(response.body, ""))
    except CredentialsError:
        return None
