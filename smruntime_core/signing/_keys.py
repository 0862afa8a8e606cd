"""What a day's signatures for one scope share, and where that is kept.

A key is good for a day, a region and a service, so it is kept on the `Credentials` object as two SHA-256 states that have read
HMAC's padded key already (RFC 2104): a signature then costs three short hashes. What else is the same from one call to the next is
kept beside it, within limits: which headers are signed in which order, what a URL signs as, all but time and body of a request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from hmac import compare_digest
from typing import Protocol, TypeAlias

from ..values._bounded_cache import Kept
from ..values._dates import date_of, time_of_day
from ..values._messages import KEPT_AS, Credentials, Headers, Scope
from ..values._record import Record, field
from ..values._rules import SCOPE_PART, Rule
from ._canonical import Dialect, HeaderLines, canonical_target

HMAC = "AWS4-HMAC-SHA256"
ECDSA = "AWS4-ECDSA-P256-SHA256"
DAYS = 8  # yesterday's too; whoever signs for more scopes than that derives again
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


class Outline:
    """All that a signature says but for the time and the body; requests of the same method, URL and header share it.

    `before` and `after` are the canonical request around the time, up to the hash of the body; `fields` are to be added to the request
    besides time and signature, `authorization` is the beginning of the latter. A session token is among it, so it has no repr of its own.
    """

    __slots__ = ("after", "authorization", "before", "fields")  # read at every call, and so quicker to read than a tuple's

    def __init__(self, before: str, after: str, fields: Headers, authorization: str) -> None:
        self.before = before
        self.after = after
        self.fields = fields
        self.authorization = authorization


class Key:
    """What a day's signatures for one scope share, whatever the algorithm."""

    algorithm: str
    region_set: str | None = None

    def __init__(self, date: str, scope: str) -> None:
        self.date = date
        self.scope = scope
        self.outlines: Kept[Outline] = Kept()
        self._lines: Kept[HeaderLines] = Kept()
        self._targets: Kept[tuple[str, str, str]] = Kept()

    def header_lines(self, names: tuple[str, ...], added: Collection[str], chosen: Collection[str] | None = None) -> HeaderLines:
        """How fields of these `names` are signed together with those `added`; `chosen` as for `HeaderLines`."""
        wanted = names, tuple(added), None if chosen is None else tuple(chosen)
        return self._lines.get(wanted) or self._lines.keep(wanted, HeaderLines(names, added, chosen))

    def target(self, url: str, dialect: Dialect) -> tuple[str, str, str]:
        """Authority, canonical path and canonical query of `url`: a client calls few of them, over and over."""
        wanted = url, dialect
        return self._targets.get(wanted) or self._targets.keep(wanted, canonical_target(url, dialect))

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


class _Ring:
    """The keys of some credentials, and the one used last together with the second as text; calls come many to a second."""

    def __init__(self) -> None:
        self.keys: Kept[Key] = Kept()
        self.last: tuple[int, AnyScope | None, tuple[Key, str]] = -1, None, (Key("", ""), "")  # threads share it: set in one step


def signing_key(credentials: Credentials, scope: AnyScope, now: float) -> tuple[Key, str]:
    """The key for the day of `now`, kept on `credentials`, and `now` as `YYYYMMDDThhmmssZ`."""
    ring: _Ring = credentials.__dict__.get(KEPT_AS) or credentials.__dict__.setdefault(KEPT_AS, _Ring())
    moment = int(now)
    second, last, found = ring.last
    if second == moment and last is scope:
        return found
    day, second = divmod(moment, 86400)
    wanted = day, scope.region, scope.service, type(scope)
    key = ring.keys.get(wanted) or ring.keys.keep(wanted, _derive(credentials, date_of(day), scope), DAYS)
    found = key, key.date + time_of_day(second)
    ring.last = moment, scope, found
    return found


def _derive(credentials: Credentials, date: str, scope: AnyScope) -> Key:
    if isinstance(scope, Scope):
        return HmacKey(credentials.secret_access_key, date, scope)
    from ._sigv4a import EcdsaKey  # for who asks for it

    return EcdsaKey(credentials, date, scope)
