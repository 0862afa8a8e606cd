"""The key of a day's signatures for one scope.

A key is good for a day, a region and a service. For HMAC it is held as two SHA-256 states that have
read HMAC's padded key already (RFC 2104): a signature then costs three short hashes.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import Protocol, TypeAlias

from ..values._credentials import Scope
from ..values._record import Record, field
from ..values._rules import SCOPE_PART, Rule

HMAC = "AWS4-HMAC-SHA256"
ECDSA = "AWS4-ECDSA-P256-SHA256"
_PATTERN = r"[a-zA-Z0-9*._-]+"
REGIONS = Rule(
    "regions joined by commas, '*' for any characters", rf"{_PATTERN}(?:,{_PATTERN})*", 1024
)
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
    """A signing key of any algorithm; `scope` is the credential scope that it is good for."""

    algorithm: str
    region_set: str | None = None

    def __init__(self, date: str, scope: str) -> None:
        self.date = date
        self.scope = scope

    def sign(self, text: str) -> str:
        """Return the signature of `text` in hexadecimal."""
        raise NotImplementedError

    def matches(self, text: str, signature: str) -> bool:
        """Return whether `signature` is one of `text`."""
        raise NotImplementedError


class HmacKey(Key):
    """The key of SigV4: it both signs and verifies."""

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
    """Return SHA-256 after reading HMAC's inner and outer padded key (RFC 2104 section 2)."""
    block = (key if len(key) <= 64 else _sha256(key).digest()).ljust(64, b"\0")
    return _sha256(bytes(b ^ 0x36 for b in block)), _sha256(bytes(b ^ 0x5C for b in block))
