"""Signatures each of which covers the one before: the first is that of a request, its seed."""

from __future__ import annotations

import hashlib

from ..values._bodies import Body
from ..values._credentials import Credentials
from ._keys import AnyScope, Key
from ._sigv4 import signing_key


class Chain:
    """The signatures of what follows a request that was signed as `seed`. Good on one thread."""

    def __init__(self, credentials: Credentials, scope: AnyScope, seed: str) -> None:
        self.signature = seed
        self._credentials = credentials
        self._scope = scope

    def sign(self, said: str, now: float) -> str:
        """The signature of the next thing that is `said`, at `now`."""
        key, stamp = signing_key(self._credentials, self._scope, now)
        self.signature = key.sign(self._text(key, stamp, said))
        return self.signature

    def accepts(self, signature: str, said: str, now: float) -> bool:
        """`signature` is that of the next thing; if it is not, the chain is of no use any more."""
        key, stamp = signing_key(self._credentials, self._scope, now)
        text = self._text(key, stamp, said)
        self.signature = signature
        return key.matches(text, signature)

    def _text(self, key: Key, stamp: str, said: str) -> str:
        kind, hashed = said.split("\n", 1)
        return f"{key.algorithm}-{kind}\n{stamp}\n{key.scope}\n{self.signature}\n{hashed}"


def piece(data: Body, headers: bytes = b"") -> str:
    """What a signature says of a piece of a body, its headers encoded."""
    return f"PAYLOAD\n{_hash(headers)}\n{_hash(data)}"


def trailers(lines: bytes) -> str:
    """What a signature says of the fields after the last piece."""
    return f"TRAILER\n{_hash(lines)}"


def _hash(data: Body) -> str:
    return hashlib.sha256(data).hexdigest()
