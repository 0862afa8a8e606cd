"""Why a signature does not match: what was signed, compared with what the other side computed.

AWS quotes its canonical request and string to sign in the error message, S3 in elements of an XML
document. If both texts are equal, so were the requests, and only the key can differ.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from ..values._record import Record
from ._canonical import canonical_path
from ._presign import Presigned
from ._sigv4 import UNSIGNED_PAYLOAD, Signature, hash_payload
from ._verify import REDACTED, without_token

# The patterns before and after what services quote.
_CANONICAL_QUOTE = (r"The Canonical String for this request should have been\s*'", r"'\s")
_CANONICAL_ELEMENT = ("<CanonicalRequest>", "</CanonicalRequest>")
_STRING_QUOTE = (r"The String-to-Sign should have been\s*'", "'")
_STRING_ELEMENT = ("<StringToSign>", "</StringToSign>")

# the session token, and text of the caller that is often personal data
_SECRET_NAMES = ("x-amz-security-token", "x-amzn-sagemaker-custom-attributes")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))
_EMPTY_HASH = hash_payload(b"")


class Difference(Record):
    """A part that differs, as it was signed (`ours`) and as the other side has it (`theirs`).

    None means that the part is missing. `hint` is a likely cause.
    """

    part: str
    ours: str | None
    theirs: str | None
    hint: str

    def __str__(self) -> str:
        return (
            f"{self.part}\n    ours:   {_show_value(self.ours)}"
            f"\n    theirs: {_show_value(self.theirs)}\n    {self.hint}"
        )


class Explanation(Record):
    """What was signed, and how it differs from the other side's.

    `str()` returns a text for people. `compared` is false if the other side said nothing. The
    session token, custom attributes and secret headers are not shown.
    """

    canonical_request: str
    string_to_sign: str
    differences: tuple[Difference, ...]
    compared: bool

    @property
    def verdict(self) -> str:
        """The differences as lines for people; empty if there was nothing to compare."""
        if self.compared and not self.differences:
            return (
                "The texts are equal, so the keys differ: "
                "is the secret access key that of this access key id?"
            )
        return "\n".join(map(str, self.differences))

    def __str__(self) -> str:
        verdict = self.verdict
        text = (
            f"Canonical request:\n{self.canonical_request}\n\n"
            f"String to sign:\n{self.string_to_sign}\n"
        )
        return f"{text}\n{verdict}\n" if verdict else text


def explain(
    signed: Signature | Presigned,
    other: str | Signature | Presigned = "",
    *,
    secret_headers: Collection[str] = (),
) -> Explanation:
    """Return what `signed` covers, compared with what the other side computed.

    `other` is another signature, or an error's message (`ServiceError.message_raw`) or body that
    quotes a canonical request, a string to sign or both, or one of these texts itself. Any other
    text is not compared. The values of `secret_headers` are compared, but not shown.
    """
    secret_names = (*_SECRET_NAMES, *(name.lower() for name in secret_headers))
    if isinstance(other, str):
        canonical_text, string_text = _read_quotes(other)
    else:
        canonical_text, string_text = other.canonical_request, other.string_to_sign
    differences: list[Difference] = []
    if canonical_text is not None:
        differences += _compare_canonical(signed.canonical_request, canonical_text, secret_names)
    if string_text is not None:
        hash_matters = canonical_text is None
        differences += _compare_strings(signed.string_to_sign, string_text, hash_matters)
    return Explanation(
        _redact(signed.canonical_request, secret_names),
        signed.string_to_sign,
        tuple(differences),
        canonical_text is not None or string_text is not None,
    )


def _redact(canonical_text: str, secret_names: Collection[str]) -> str:
    """Return a canonical request without the values of secret headers."""
    pattern = rf"(?m)^((?:{'|'.join(map(re.escape, secret_names))}):).*$"
    return re.sub(pattern, rf"\1{REDACTED}", without_token(canonical_text))


def _read_quotes(text: str) -> tuple[str | None, str | None]:
    """Return the canonical request and the string to sign that `text` quotes or is."""
    if "\n" not in text:
        text = text.replace("\\n", "\n")  # a JSON string that has not been decoded
    text = text.replace("\r\n", "\n")
    canonical_text = _find_between(text, *_CANONICAL_QUOTE) or _unescape_xml(
        _find_between(text, *_CANONICAL_ELEMENT)
    )
    string_text = _find_between(text, *_STRING_QUOTE) or _unescape_xml(
        _find_between(text, *_STRING_ELEMENT)
    )
    if canonical_text or string_text:
        return canonical_text, string_text
    text = text.strip("\n '")
    if text.startswith("AWS4-"):
        return None, text
    is_canonical = re.fullmatch(r"[A-Z]+\n/.*\n[^\n]+", text, re.DOTALL)
    return text if is_canonical else None, None


def _find_between(text: str, before: str, after: str) -> str | None:
    """Return the text between the first matches of two patterns.

    Each is searched for once, so a server's text costs no more than reading it.
    """
    start_match = re.search(before, text)
    end_match = re.compile(after).search(text, start_match.end()) if start_match else None
    return text[start_match.end() : end_match.start()] if start_match and end_match else None


def _unescape_xml(text: str | None) -> str | None:
    """Return XML text with its entities replaced."""
    if text is not None:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    return text


def _split_canonical(canonical_text: str) -> dict[str, str]:
    """Return the parts of a canonical request by name, in order."""
    lines = canonical_text.split("\n")
    lines += [""] * (3 - len(lines))
    headers_end = lines.index("", 3) if "" in lines[3:] else len(lines)
    parameters: dict[str, list[str]] = {}
    for parameter in lines[2].split("&") if lines[2] else ():
        name, _, value = parameter.partition("=")
        parameters.setdefault(f"parameter {name}", []).append(value)
    parts = {"method": lines[0], "path": lines[1]}
    parts |= {name: ", ".join(values) for name, values in parameters.items()}
    for line in lines[3:headers_end]:
        name, _, value = line.partition(":")
        parts[f"header {name}"] = value
    parts["signed headers"], parts["payload hash"] = (*lines[headers_end + 1 :], "", "")[:2]
    return parts


def _compare_canonical(
    ours: str, theirs: str, secret_names: Collection[str]
) -> Iterator[Difference]:
    our_parts, their_parts = _split_canonical(ours), _split_canonical(theirs)
    for part in dict.fromkeys((*our_parts, *their_parts)):
        our_value, their_value = our_parts.get(part), their_parts.get(part)
        if their_value in (our_value, REDACTED):
            continue
        hint = _choose_hint(part, our_value, their_value)
        if part.lower().partition(" ")[2] in secret_names:
            our_value, their_value = (value and REDACTED for value in (our_value, their_value))
        yield Difference(part, our_value, their_value, hint)


_PART_HINTS = {
    "method": "The method was changed after signing.",
    "header host": "It was signed for another host than it arrived at: "
    "a proxy that changes Host, or another port?",
    "signed headers": "Authorization or X-Amz-SignedHeaders lists the signed headers: "
    "is it that of the same signature?",
}


def _choose_hint(part: str, ours: str | None, theirs: str | None) -> str:
    if part == "path":
        return _path_hint(ours or "", theirs or "")
    if part == "payload hash":
        return _payload_hint(theirs)
    kind = part.partition(" ")[0]
    if theirs is None:
        hint = f"It was signed and did not arrive: what removes this {kind}?"
    else:
        change = "added" if ours is None else "changed"
        hint = f"It was {change} after signing: sign last, and with the {kind} that is sent."
    return _PART_HINTS.get(part, hint)


def _path_hint(ours: str, theirs: str) -> str:
    if ours in (theirs, canonical_path(theirs, normalize=False, double_encode=True)):
        return "It was encoded once too often here: S3 wants dialect=S3."
    if theirs == canonical_path(ours, normalize=False, double_encode=True):
        return "It was encoded once too little here: all services but S3 want dialect=STANDARD."
    if theirs == canonical_path(ours, normalize=True, double_encode=False):
        return "The other side resolves dots and double slashes: only S3 does not."
    return "The URL was changed after signing."


def _payload_hint(theirs: str | None) -> str:
    if theirs == _EMPTY_HASH:
        return "No body arrived."
    if theirs == UNSIGNED_PAYLOAD:
        return "The other side ignores the body: sign with payload_hash=UNSIGNED_PAYLOAD."
    return "The body was changed after signing: compressed, or encoded anew?"


_STRING_LINES = (
    ("algorithm", "Another algorithm was used."),
    ("time", "Another time was signed than was sent."),
    ("scope", "It was signed for another date, region or service."),
    ("hash of the canonical request", "The canonical requests differ: compare those."),
)


def _compare_strings(ours: str, theirs: str, hash_matters: bool) -> Iterator[Difference]:
    our_lines, their_lines = (*ours.split("\n"), *[""] * 4), (*theirs.split("\n"), *[""] * 4)
    compared = _STRING_LINES if hash_matters else _STRING_LINES[:3]
    for (part, hint), our_line, their_line in zip(compared, our_lines, their_lines, strict=False):
        if our_line != their_line:
            yield Difference(part, our_line, their_line, hint)


def _show_value(value: str | None) -> str:
    return "(missing)" if value is None else value
