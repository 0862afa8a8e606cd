"""The rules for members' values: code that checks, errors and property tests all read them.

A value that breaks a rule is refused where it is given, so it is never signed or sent. The error
names the member, the rule and the position of the fault, never the value, which may be a secret.

Text for header fields is 0x20 to 0x7E, not empty, with no blank at either end. RFC 9110 section 5.5
allows more (TAB, obs-text), but receivers trim the ends and SigV4 folds inner white space, so other
text would not arrive as it was given.
"""

from __future__ import annotations

import re
from typing import cast

from ..errors import ConstructionError

TCHAR = "!#$%&'*+.^_`|~0-9A-Za-z-"  # characters of a token (RFC 9110, 5.6.2), for a regex class
_NAME_PATTERN = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"


class Rule:
    """Text that matches `pattern` as a whole and has at most `maximum` characters.

    `description` completes the sentence "It must be …".
    """

    def __init__(self, description: str, pattern: str, maximum: int) -> None:
        self.description: str = description
        self.pattern: str = pattern
        self.maximum: int = maximum
        self._match_pattern = re.compile(pattern).fullmatch

    def check(self, member: str, value: object) -> str:
        """Return `value` as a plain `str`; raise `ConstructionError` if it breaks the rule."""
        if type(value) is not str:
            return self.check(member, self._plain_text(member, value))
        if len(value) > self.maximum or not self._match_pattern(value):
            raise ConstructionError(member, self.description, self._describe_fault(value))
        return value

    def _plain_text(self, member: str, value: object) -> str:
        """Return the text of a subclass of `str`, such as a string enum."""
        if isinstance(value, str):
            return str.__str__(value)
        found = f"found {type(value).__name__}"
        raise ConstructionError(member, f"a str: {self.description}", found)

    def read(self, member: str, text: str) -> str:
        """Return the value that a message holds as `text`."""
        return self.check(member, text)

    def _describe_fault(self, text: str) -> str:
        """Describe what is wrong with `text` without quoting it."""
        if not text:
            return "it is empty (an optional member can be left out)"
        if text.startswith("arn:") and not self._match_pattern("arn:"):
            return "it is an ARN, not a name"
        if len(text) > self.maximum:
            return f"it has {len(text)} characters"
        for position, character in enumerate(text):
            if not " " <= character <= "~":
                return f"character U+{ord(character):04X} at index {position} is not allowed"
        if text != text.strip(" "):
            return "it begins or ends with a blank"
        return "blanks are not allowed" if " " in text and "[ -" not in self.pattern else ""


class WholeNumber:
    """An int from `minimum` to `maximum`."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self.description: str = f"an int from {minimum} to {maximum}"
        self.minimum: int = minimum
        self.maximum: int = maximum

    def check(self, member: str, value: object) -> int:
        """Return `value` as a plain `int`; raise `ConstructionError` if it breaks the rule."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConstructionError(member, self.description, f"found {type(value).__name__}")
        if not self.minimum <= value <= self.maximum:
            found = f"found {int(value)}" if abs(value) < 10**18 else ""
            raise ConstructionError(member, self.description, found)
        return int(value)

    def read(self, member: str, text: str) -> int:
        """Return the value that a message holds as `text`."""
        if not re.fullmatch("-?[0-9]{1,18}", text):
            raise ConstructionError(member, self.description)
        return self.check(member, int(text))


class Blob:
    """Bytes of any type that can be hashed and sent without a copy.

    `maximum` is their largest number; None leaves the limit to the service.
    """

    def __init__(self, maximum: int | None = None) -> None:
        limit = f" of at most {maximum} bytes" if maximum else ""
        self.description: str = f"bytes, bytearray or memoryview{limit}"
        self.maximum: int | None = maximum

    def check(self, member: str, value: object) -> bytes | bytearray | memoryview:
        """Return `value`, a memoryview as bytes; raise `ConstructionError` for other types."""
        data = check_bytes(member, value)
        if self.maximum is not None and len(data) > self.maximum:
            raise ConstructionError(member, self.description, f"found {len(data)} bytes")
        return data


def header_text(maximum: int) -> Rule:
    """Return the rule for text that a header field carries unchanged."""
    description = f"1 to {maximum} characters of 0x20–0x7E with no blank at either end"
    return Rule(description, f"[!-~](?:[ -~]{{0,{maximum - 2}}}[!-~])?", maximum)


def resource_name(maximum: int) -> Rule:
    """Return the rule for a resource name (the pattern of the service's model, matched whole)."""
    pattern = f"[a-zA-Z0-9](?:[a-zA-Z0-9-]{{0,{maximum - 2}}}[a-zA-Z0-9])?"
    return Rule(f"1 to {maximum} letters, digits and inner hyphens", pattern, maximum)


NAME = resource_name(63)
SESSION_ID = Rule(
    "NEW_SESSION, or 1 to 256 letters, digits and inner hyphens",
    f"NEW_SESSION|{_NAME_PATTERN}",
    256,
)
NEW_SESSION_ID = Rule(
    "a session id, then '; Expires=' and a UTC time like 2026-01-31T23:59:59Z",
    _NAME_PATTERN + r";\sExpires=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
    256,
)
LOCATION = Rule(
    "an s3:// or https:// URL of at most 1024 characters",
    "(?:https|s3)://[ -.0-~]+(?:/[ -~]*)?(?<! )",
    1024,
)
OUTPUT_PATH = Rule(
    "1 to 512 letters, digits and !_.*'()/-, not beginning with s3: or https:",
    r"(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+",
    512,
)
FILENAME = Rule(
    "1 to 32 letters, digits, '-', '_' and at most one '.', the first a letter or digit",
    r"(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9_.-]*",
    32,
)
KEY_TEXT = Rule("printable ASCII without blanks", "[!-~]+", 16384)
SECRET_TEXT = Rule(
    "1 to 1024 characters without blanks at either end or control characters",
    "[!-~](?:[ -~]*[!-~])?",
    1024,
)
REGION = Rule("a name like eu-west-1: 1 to 63 letters, digits and inner hyphens", _NAME_PATTERN, 63)
SCOPE_PART = Rule("letters, digits, '.', '_' and '-'", "[a-zA-Z0-9._-]+", 128)
ENDPOINT_URL = Rule(
    "an http:// or https:// URL with a host, and without user, query or fragment",
    r"https?://(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::[0-9]{1,5})?"
    r"(?:/[a-zA-Z0-9._~!$&'()*+,;=:@%/-]*)?",
    2048,
)


def check_flag(member: str, value: object) -> bool:
    """Return a bool; refuse other truthy values such as "false"."""
    if isinstance(value, bool):
        return value
    raise ConstructionError(member, "True or False", f"found {type(value).__name__}")


def check_bytes(member: str, value: object) -> bytes | bytearray | memoryview:
    """Return bytes of any type, a memoryview as one of bytes; raise `ConstructionError`."""
    if isinstance(value, bytes | bytearray):
        return value
    if isinstance(value, memoryview):
        if not value.c_contiguous:
            raise ConstructionError(member, "contiguous bytes", "the memoryview has gaps")
        byte_view = cast("memoryview[int]", value)
        return byte_view if byte_view.format == "B" and byte_view.ndim == 1 else byte_view.cast("B")
    rule = f"bytes, bytearray or memoryview{bytes_remedy(value)}"
    raise ConstructionError(member, rule, f"found {type(value).__name__}")


def bytes_remedy(value: object) -> str:
    """Return how bytes are made of `value`, to end a rule; empty if that is not known."""
    if isinstance(value, str):
        return "; encode the text first, for instance .encode()"
    if isinstance(value, dict | list | tuple):
        return "; pass **as_json(...) of smruntime_core.codecs: that is body and content type"
    return "; await it first" if hasattr(value, "__await__") else ""


ANY_BYTES = Blob()
