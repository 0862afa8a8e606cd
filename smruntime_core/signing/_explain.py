"""Why a signature does not match: what was signed beside what the other side says should have been, line by line.

AWS quotes its canonical request and string to sign in the message of the error; S3 in elements of an XML document. Where both
texts are the same, the requests were, and only the key can differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..values._record import Record
from ._canonical import canonical_path
from ._presign import Presigned
from ._sigv4 import UNSIGNED_PAYLOAD, Signature, hash_payload
from ._verify import BLOT, redacted

_QUOTES = (  # what stands before and after, as services quote: canonical request, string to sign
    (r"The Canonical String for this request should have been\s*'", r"'\s"),
    ("<CanonicalRequest>", "</CanonicalRequest>"),
    (r"The String-to-Sign should have been\s*'", "'"),
    ("<StringToSign>", "</StringToSign>"),
)
_SECRET = "x-amz-security-token"  # noqa: S105 - the name of a header
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))
_EMPTY = hash_payload(b"")


class Difference(Record):
    """`part` is what differs: `ours` was signed, `theirs` is what the other side has (None: not there). `hint` says what it may be."""

    part: str
    ours: str | None
    theirs: str | None
    hint: str

    def __str__(self) -> str:
        return f"{self.part}\n    ours:   {_shown(self.ours)}\n    theirs: {_shown(self.theirs)}\n    {self.hint}"


class Explanation(Record):
    """What was signed, without the session token, and how it differs from what the other side has. `str()` is for reading."""

    canonical_request: str
    string_to_sign: str
    differences: tuple[Difference, ...]
    compared: bool

    def __str__(self) -> str:
        verdict = "\n".join(map(str, self.differences))
        if self.compared and not self.differences:
            verdict = "Nothing differs: so the keys do. Is the secret access key that of this access key id?"
        text = f"Canonical request:\n{self.canonical_request}\n\nString to sign:\n{self.string_to_sign}\n"
        return f"{text}\n{verdict}\n" if verdict else text


def explain(signed: Signature | Presigned, other: str | Signature | Presigned = "") -> Explanation:
    """What `signed` was made of, beside what somebody else says it should have been.

    `other` is another signature, or an error's message (`ServiceError.message_raw`) or body that quotes a canonical request, a string
    to sign or both, or one of those texts itself. A text that is neither is not compared.
    """
    canonical, text = (
        _quoted(other)
        if isinstance(other, str)
        else (other.canonical_request, other.string_to_sign)
    )
    found: list[Difference] = []
    if canonical is not None:
        found += _canonical_differences(signed.canonical_request, canonical)
    if text is not None:
        found += _string_differences(signed.string_to_sign, text, known=canonical is not None)
    return Explanation(
        redacted(signed.canonical_request),
        signed.string_to_sign,
        tuple(found),
        canonical is not None or text is not None,
    )


def _quoted(text: str) -> tuple[str | None, str | None]:
    """Canonical request and string to sign out of what a service said."""
    if "\n" not in text:
        text = text.replace("\\n", "\n")  # JSON that nobody has decoded
    text = text.replace("\r\n", "\n")
    said, said_xml, string, string_xml = (_between(text, *quote) for quote in _QUOTES)
    if said or said_xml or string or string_xml:
        return said or _unescaped(said_xml), string or _unescaped(string_xml)
    text = text.strip("\n '")
    if text.startswith("AWS4-"):
        return None, text
    return (text, None) if re.fullmatch(r"[A-Z]+\n/.*\n[^\n]+", text, re.DOTALL) else (None, None)


def _between(text: str, before: str, after: str) -> str | None:
    """What stands first between two patterns, each looked for once: a server's text is not to cost more than reading it."""
    start = re.search(before, text)
    end = re.compile(after).search(text, start.end()) if start else None
    return text[start.end() : end.start()] if start and end else None


def _unescaped(text: str | None) -> str | None:
    for entity, character in _ENTITIES if text else ():
        text = (text or "").replace(entity, character)
    return text


def _parts(canonical: str) -> dict[str, str]:
    """The parts of a canonical request by name, in order."""
    lines = canonical.split("\n")
    lines += [""] * (3 - len(lines))
    blank = lines.index("", 3) if "" in lines[3:] else len(lines)
    parameters: dict[str, list[str]] = {}
    for pair in lines[2].split("&") if lines[2] else ():
        name, _, value = pair.partition("=")
        parameters.setdefault(f"parameter {name}", []).append(value)
    found = {"method": lines[0], "path": lines[1]} | {
        name: ", ".join(values) for name, values in parameters.items()
    }
    for line in lines[3:blank]:
        name, _, value = line.partition(":")
        found[f"header {name}"] = value
    found["signed headers"], found["payload hash"] = (*lines[blank + 1 :], "", "")[:2]
    return found


def _canonical_differences(ours: str, theirs: str) -> Iterator[Difference]:
    one, other = _parts(ours), _parts(theirs)
    for part in dict.fromkeys((*one, *other)):
        mine, yours = one.get(part), other.get(part)
        if yours not in (mine, BLOT):
            hint = _hint(part, mine, yours)
            if _SECRET in part.lower():
                mine, yours = (value and BLOT for value in (mine, yours))
            yield Difference(part, mine, yours, hint)


_HINTS = {
    "method": "The method was changed after signing.",
    "header host": "It was signed for another host than it arrived at: a proxy that changes Host, or another port?",
    "signed headers": "Authorization or X-Amz-SignedHeaders says which headers are signed: is it that of the same signature?",
}


def _hint(part: str, ours: str | None, theirs: str | None) -> str:
    if part == "path":
        return _path_hint(ours or "", theirs or "")
    if part == "payload hash":
        return _payload_hint(theirs)
    kind = part.partition(" ")[0]
    changed = f"It was {'added' if ours is None else 'changed'} after signing: sign last, and with the {kind} that is sent."
    if theirs is None:
        changed = f"It was signed and did not arrive: what takes away this {kind}?"
    return _HINTS.get(part, changed)


def _path_hint(ours: str, theirs: str) -> str:
    if ours in (theirs, canonical_path(theirs, normalize=False, double_encode=True)):
        return "It was encoded once too often here: S3 wants dialect=S3."
    if theirs == canonical_path(ours, normalize=False, double_encode=True):
        return "It was encoded once too little here: all services but S3 want dialect=STANDARD."
    if theirs == canonical_path(ours, normalize=True, double_encode=False):
        return "The other side resolves dots and double slashes: only S3 does not."
    return "The URL was changed after signing."


def _payload_hint(theirs: str | None) -> str:
    if theirs == _EMPTY:
        return "No body arrived."
    if theirs == UNSIGNED_PAYLOAD:
        return "The other side does not look at the body: sign with payload_hash=UNSIGNED_PAYLOAD."
    return "The body was changed after signing: compressed, or encoded anew?"


def _string_differences(ours: str, theirs: str, *, known: bool) -> Iterator[Difference]:
    names = ("algorithm", "time", "scope", "hash of the canonical request")
    hints = (
        "Another algorithm was used.",
        "Another time was signed than was sent.",
        "It was signed for another date, region or service.",
        "The canonical requests differ: compare those.",
    )
    for name, hint, mine, yours in zip(
        names, hints, (*ours.split("\n"), *[""] * 4), (*theirs.split("\n"), *[""] * 4), strict=False
    ):
        if mine != yours and not (known and name == names[3]):
            yield Difference(name, mine, yours, hint)


def _shown(text: str | None) -> str:
    return "(not there)" if text is None else text
