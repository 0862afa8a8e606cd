"""Signing keys: one for a day, a region and a service.

A key is held as two SHA-256 states that have read the padded key (RFC 2104): a signature takes
9.3 µs, with `hmac.digest` 10.5.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Protocol, TypeAlias

from ..values._credentials import Scope
from ..values._record import Record, field
from ..values._rules import SCOPE_PART, Rule

HMAC = "AWS4-HMAC-SHA256"
ECDSA = "AWS4-ECDSA-P256-SHA256"
_REGION_PATTERN = r"[a-zA-Z0-9*._-]+"
REGIONS = Rule(
    "regions joined by commas, '*' for any characters",
    rf"{_REGION_PATTERN}(?:,{_REGION_PATTERN})*",
    1024,
)
_sha256 = hashlib.sha256


class RegionSet(Record):
    """What a SigV4a signature is good for: regions such as "us-east-1,eu-*" or "*", and a service.

    Pass it to `sign`, `presign` and the other functions in place of a `Scope` to sign with SigV4a
    (needs cryptography, extra `sigv4a`).
    """

    region: str = field(check=REGIONS.check)
    service: str = field(check=SCOPE_PART.check)


AnyScope: TypeAlias = "Scope | RegionSet"


class _HashState(Protocol):
    def copy(self) -> _HashState: ...
    def update(self, data: bytes, /) -> object: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


class Key:
    """A signing key of any algorithm; `scope` is the credential scope that it is good for."""

    algorithm: str
    region_set: str | None = None

    def __init__(self, date: str, scope: str) -> None:
        self.date: str = date
        self.scope: str = scope

    def sign(self, text: str) -> str:
        """Return a signature of `text` in hexadecimal."""
        raise NotImplementedError

    def matches(self, text: str, signature: str) -> bool:
        """Return whether `signature` is one of `text`."""
        raise NotImplementedError


class HmacKey(Key):
    """The key of SigV4, which both signs and verifies."""

    algorithm = HMAC

    def __init__(self, secret: str, date: str, scope: Scope) -> None:
        super().__init__(date, f"{date}/{scope.region}/{scope.service}/aws4_request")
        derived_key = f"AWS4{secret}".encode()
        for scope_part in (date, scope.region, scope.service, "aws4_request"):
            derived_key = hmac.digest(derived_key, scope_part.encode(), "sha256")
        self._inner_state, self._outer_state = _hmac_states(derived_key)

    def sign(self, text: str) -> str:
        inner_state = self._inner_state.copy()
        inner_state.update(text.encode())
        outer_state = self._outer_state.copy()
        outer_state.update(inner_state.digest())
        return outer_state.hexdigest()

    def matches(self, text: str, signature: str) -> bool:
        return hmac.compare_digest(self.sign(text), signature)


def _hmac_states(key: bytes) -> tuple[_HashState, _HashState]:
    """Return SHA-256 after reading HMAC's inner and outer key of 32 bytes (RFC 2104 section 2)."""
    inner_key, outer_key = (
        bytes(byte ^ pad for byte in key.ljust(64, b"\0")) for pad in (0x36, 0x5C)
    )
    return _sha256(inner_key), _sha256(outer_key)
