"""What a day's signatures for one scope share, and where that is kept.

A key is good for a day, a region and a service, so it is kept on the `Credentials` object as two SHA-256 states that have read
HMAC's padded key already (RFC 2104): a signature then costs three short hashes. What else is the same from one call to the next is
kept beside it, within limits: which headers are signed in which order, what a URL signs as, the second as text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from hmac import compare_digest
from typing import Protocol, TypeAlias

from .._dates import date_of, time_of_day
from .._model import Credentials, Scope
from .._record import Record, field
from .._rules import SCOPE_PART, Rule
from ._canonical import STANDARD, Dialect, HeaderLines, canonical_target

HMAC = "AWS4-HMAC-SHA256"
ECDSA = "AWS4-ECDSA-P256-SHA256"
KEPT = 64  # header lists and URLs a key
_PATTERN = r"[a-zA-Z0-9*._-]+"
REGIONS = Rule("regions joined by commas, '*' for any characters", rf"{_PATTERN}(?:,{_PATTERN})*", 1024)
_sha256 = hashlib.sha256


class RegionSet(Record):
    """What a SigV4a signature is good for: regions joined by commas, as "us-east-1,eu-*" or "*", and a service's signing name.

    Given to `sign`, `presign` and the rest in place of a `Scope`, it has them sign with SigV4a (needs cryptography, extra `sigv4a`).
    """

    region: str = field(check=REGIONS.check)
    service: str = field(check=SCOPE_PART.check)


AnyScope: TypeAlias = "Scope | RegionSet"


class _Hash(Protocol):
    def copy(self) -> _Hash: ...
    def update(self, data: bytes, /) -> object: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


class Key:
    """What a day's signatures for one scope share, whatever the algorithm."""

    algorithm: str
    region_set: str | None = None

    def __init__(self, date: str, scope: str) -> None:
        self.date = date
        self.scope = scope
        self._lines: dict[tuple[object, ...], HeaderLines] = {}
        self._last = (-1, "")
        self._targets: dict[object, tuple[str, str, str]] = {}

    def header_lines(self, names: tuple[str, ...], added: Collection[str], chosen: Collection[str] | None = None) -> HeaderLines:
        """How fields of these `names` are signed together with those `added`; `chosen` as for `HeaderLines`."""
        wanted = (names, *added) if chosen is None else (names, tuple(added), tuple(chosen))
        found = self._lines.get(wanted)
        if found is None:
            if len(self._lines) > KEPT:  # whoever makes up header names works this out anew
                self._lines.clear()
            found = self._lines[wanted] = HeaderLines(names, added, chosen)
        return found

    def stamp(self, second: int) -> str:
        """`YYYYMMDDThhmmssZ` for so many seconds after midnight; calls come many to a second."""
        kept, text = self._last
        if kept != second:
            text = self.date + time_of_day(second)
            self._last = second, text  # in one step: threads share it
        return text

    def target(self, url: str, dialect: Dialect) -> tuple[str, str, str]:
        """Authority, canonical path and canonical query of `url`: a client calls few of them, over and over."""
        wanted = url if dialect is STANDARD else (url, dialect)
        found = self._targets.get(wanted)
        if found is None:
            if len(self._targets) > KEPT:
                self._targets.clear()
            found = self._targets[wanted] = canonical_target(url, dialect)
        return found

    def sign(self, text: str) -> str:
        """The signature of `text` in hexadecimal."""
        raise NotImplementedError

    def matches(self, text: str, signature: str) -> bool:
        """`signature` is one of `text`."""
        raise NotImplementedError


class HmacKey(Key):
    """SigV4: whoever can verify can sign."""

    algorithm = HMAC

    def __init__(self, secret: str, date: str, scope: Scope) -> None:
        super().__init__(date, f"{date}/{scope.region}/{scope.service}/aws4_request")
        key = f"AWS4{secret}".encode()
        for part in (date, scope.region, scope.service, "aws4_request"):
            inner, outer = _hmac_states(key)
            inner.update(part.encode())
            outer.update(inner.digest())
            key = outer.digest()
        self._inner, self._outer = _hmac_states(key)

    def sign(self, text: str) -> str:
        inner = self._inner.copy()
        inner.update(text.encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def matches(self, text: str, signature: str) -> bool:
        return compare_digest(self.sign(text), signature)


def _hmac_states(key: bytes) -> tuple[_Hash, _Hash]:
    """SHA-256 after reading HMAC's inner and outer padded key (RFC 2104 section 2)."""
    block = (key if len(key) <= 64 else _sha256(key).digest()).ljust(64, b"\0")
    return _sha256(bytes(b ^ 0x36 for b in block)), _sha256(bytes(b ^ 0x5C for b in block))


def signing_key(credentials: Credentials, scope: AnyScope, now: float) -> tuple[Key, str]:
    """The key for the day of `now`, kept on `credentials`, and `now` as `YYYYMMDDThhmmssZ`."""
    day, second = divmod(int(now), 86400)
    kept: dict[tuple[object, ...], Key] = credentials.__dict__.get("_signing_keys") or credentials.__dict__.setdefault("_signing_keys", {})
    wanted = day, scope.region, scope.service, type(scope)
    key = kept.get(wanted)
    if key is None:
        if len(kept) > 8:  # yesterday's; whoever signs for more scopes than that derives again
            kept.clear()
        key = kept[wanted] = _derive(credentials, date_of(day), scope)
    return key, key.stamp(second)


def _derive(credentials: Credentials, date: str, scope: AnyScope) -> Key:
    if isinstance(scope, Scope):
        return HmacKey(credentials.secret_access_key, date, scope)
    from ._sigv4a import EcdsaKey  # for who asks for it

    return EcdsaKey(credentials, date, scope)
