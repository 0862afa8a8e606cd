"""Signatures that each cover the one before; the first covers that of a request, the seed."""

from __future__ import annotations

import hashlib

from ..values._bodies import Body
from ..values._credentials import Credentials
from ._keys import AnyScope, Key
from ._sigv4 import signing_key


class Chain:
    """The signatures after a request; `seed` is that of the request. It is not thread-safe."""

    def __init__(self, credentials: Credentials, scope: AnyScope, seed: str) -> None:
        self.signature: str = seed
        self._credentials = credentials
        self._scope = scope

    def sign(self, content: str, now: float) -> str:
        """Return the signature of the next `content` (see `piece`, `trailers`) at `now`."""
        key, timestamp = signing_key(self._credentials, self._scope, now)
        self.signature = key.sign(self._string_to_sign(key, timestamp, content))
        return self.signature

    def accepts(self, signature: str, content: str, now: float) -> bool:
        """Return whether `signature` is that of the next `content`; do not go on if it is not."""
        key, timestamp = signing_key(self._credentials, self._scope, now)
        text = self._string_to_sign(key, timestamp, content)
        self.signature = signature
        return key.matches(text, signature)

    def _string_to_sign(self, key: Key, timestamp: str, content: str) -> str:
        kind, hashes = content.split("\n", 1)
        return f"{key.algorithm}-{kind}\n{timestamp}\n{key.scope}\n{self.signature}\n{hashes}"


def piece(data: Body, headers: bytes = b"") -> str:
    """Return what is signed of a piece of a body with its encoded headers."""
    return f"PAYLOAD\n{_hash_bytes(headers)}\n{_hash_bytes(data)}"


def trailers(lines: bytes) -> str:
    """Return what is signed of the fields after the last piece."""
    return f"TRAILER\n{_hash_bytes(lines)}"


def _hash_bytes(data: Body) -> str:
    return hashlib.sha256(data).hexdigest()
