"""What a value must be, said once: the code that checks, the error that explains and the tests that generate all read it.

A value that breaks a rule is refused where it is given, so nothing unfit is ever signed or sent. The error names the
member, the rule and the place, never the value: it may be a secret.

Header text is 0x20 to 0x7E, with no blank at either end and not empty. RFC 9110 section 5.5 allows more (TAB, obs-text), but a
receiver trims the ends and SigV4 folds inner white space, so what is allowed beyond this does not arrive as it was given.
"""

from __future__ import annotations

import re
from typing import cast

from ..errors import ConstructionError

TCHAR = "!#$%&'*+.^_`|~0-9A-Za-z-"  # what a token is made of (RFC 9110 section 5.6.2), as it stands in a regex class
_NAME = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"


class Rule:
    """Text that matches `pattern` as a whole and has at most `maximum` characters.

    `says` completes "must be …".
    """

    def __init__(self, says: str, pattern: str, maximum: int) -> None:
        self.says = says
        self.pattern = pattern
        self.maximum = maximum
        self._matches = re.compile(pattern).fullmatch

    def check(self, member: str, value: object) -> str:
        """Return `value` as a plain `str`; raise `ConstructionError` if it breaks the rule."""
        if type(value) is str and len(value) <= self.maximum and self._matches(value):
            return value
        text = self._plain(member, value)
        if len(text) > self.maximum or not self._matches(text):
            raise ConstructionError(member, self.says, self._fault(text))
        return text

    def read(self, member: str, text: str) -> str:
        """Return the value that a message holds as `text`."""
        return self.check(member, text)

    def _plain(self, member: str, value: object) -> str:
        """Return the characters of a subclass of `str`: of an enum member its value."""
        if not isinstance(value, str):
            raise ConstructionError(member, f"a str: {self.says}", f"found {type(value).__name__}")
        return str.__str__(value)

    def _fault(self, text: str) -> str:
        """Say where `text` goes wrong, without quoting it."""
        if not text:
            return "it is empty (leave the member out instead)"
        if len(text) > self.maximum:
            return f"it has {len(text)} characters"
        for index, character in enumerate(text):
            if not " " <= character <= "~":
                return f"character U+{ord(character):04X} at index {index} is not allowed"
        if text != text.strip(" "):
            return "it begins or ends with a blank"
        return "it does not have that form"


class WholeNumber:
    """An int from `minimum` to `maximum`."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self.says = f"an int from {minimum} to {maximum}"
        self.minimum = minimum
        self.maximum = maximum

    def check(self, member: str, value: object) -> int:
        """`value` as a plain `int`; raises `ConstructionError` if it breaks the rule."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConstructionError(member, self.says, f"found {type(value).__name__}")
        if not self.minimum <= value <= self.maximum:
            raise ConstructionError(
                member, self.says, f"found {int(value)}" if abs(value) < 10**18 else ""
            )
        return int(value)

    def read(self, member: str, text: str) -> int:
        """The value that a message holds as `text`."""
        if not re.fullmatch("-?[0-9]{1,18}", text):
            raise ConstructionError(member, self.says)
        return self.check(member, int(text))


class Blob:
    """Bytes in any form that can be hashed and sent without a copy, at most `maximum` of them (None: the service knows)."""

    def __init__(self, maximum: int | None = None) -> None:
        self.says = "bytes, bytearray or memoryview" + (
            f" of at most {maximum} bytes" if maximum else ""
        )
        self.maximum = maximum

    def check(self, member: str, value: object) -> bytes | bytearray | memoryview:
        """`value`, a memoryview counted in bytes; raises `ConstructionError` if it breaks the rule."""
        data = blob(member, value)
        if self.maximum is not None and len(data) > self.maximum:
            raise ConstructionError(member, self.says, f"it has {len(data)}")
        return data


def header_text(maximum: int) -> Rule:
    """Text that a header carries unchanged."""
    pattern = f"[!-~](?:[ -~]{{0,{maximum - 2}}}[!-~])?"
    return Rule(
        f"1 to {maximum} characters of 0x20–0x7E with no blank at either end", pattern, maximum
    )


def name(maximum: int) -> Rule:
    """A resource name, as the service's model has it (its pattern read as a full match)."""
    pattern = f"[a-zA-Z0-9](?:[a-zA-Z0-9-]{{0,{maximum - 2}}}[a-zA-Z0-9])?"
    return Rule(f"1 to {maximum} letters, digits and inner hyphens", pattern, maximum)


NAME = name(63)
SESSION_ID = Rule(
    "NEW_SESSION, or 1 to 256 letters, digits and inner hyphens", f"NEW_SESSION|{_NAME}", 256
)
NEW_SESSION_ID = Rule(
    "a session id, then '; Expires=' and a UTC time like 2026-01-31T23:59:59Z",
    _NAME + r";\sExpires=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
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
KEY = Rule("printable ASCII without blanks", "[!-~]+", 16384)
SECRET = Rule(
    "1 to 1024 characters without blanks at either end or control characters",
    "[!-~](?:[ -~]*[!-~])?",
    1024,
)
REGION = Rule("a region: one host label of letters, digits and inner hyphens", _NAME, 63)
SCOPE_PART = Rule("letters, digits, '.', '_' and '-'", "[a-zA-Z0-9._-]+", 128)
ENDPOINT_URL = Rule(
    "an http:// or https:// URL with a host, and without user, query or fragment",
    r"https?://(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::[0-9]{1,5})?(?:/[a-zA-Z0-9._~!$&'()*+,;=:@%/-]*)?",
    2048,
)


def check_flag(member: str, value: object) -> bool:
    """Return a bool; refuse other truthy values such as "false"."""
    if isinstance(value, bool):
        return value
    raise ConstructionError(member, "True or False", f"found {type(value).__name__}")


def blob(member: str, value: object) -> bytes | bytearray | memoryview:
    """Bytes in any form that can be hashed and sent without a copy, counted in bytes."""
    if isinstance(value, bytes | bytearray):
        return value
    if isinstance(value, memoryview):
        if not value.c_contiguous:
            raise ConstructionError(member, "contiguous bytes", "the memoryview has gaps")
        view = cast("memoryview[int]", value)
        return view if view.format == "B" and view.ndim == 1 else view.cast("B")
    hint = "; encode the text first, for instance .encode()" if isinstance(value, str) else ""
    raise ConstructionError(
        member, f"bytes, bytearray or memoryview{hint}", f"found {type(value).__name__}"
    )


ANY_BYTES = Blob()
