"""TLS as a client's settings say it: whom to trust, who to be. What comes of it is in `_secure`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TypeGuard

from smruntime_core import ConstructionError
from smruntime_core.values import Record, field

if TYPE_CHECKING:
    import ssl


def _path(member: str, value: object) -> str | None:
    if value is None or isinstance(value, str | os.PathLike):
        # pyright cannot tell str from bytes in a PathLike
        return None if value is None else os.fspath(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    raise ConstructionError(member, "a path")


class TLS(Record, kw_only=True):
    """How a client speaks TLS, as its argument `tls`.

    `ca_bundle` is a file of certificates in PEM (or a directory as OpenSSL's `c_rehash` makes it) to trust instead of the system's;
    `truststore=True` asks the operating system itself (extra `truststore`). `certificate` is the client's own with its chain, in PEM,
    `key` the file of its private key (default: the same file), `password` that key's. `key_log` is a file for the keys of every
    connection, so that Wireshark can read along.
    """

    ca_bundle: str | None = field(default=None, check=_path)
    truststore: bool = False
    certificate: str | None = field(default=None, check=_path)
    key: str | None = field(default=None, check=_path)
    password: str | None = field(default=None, secret=True)
    key_log: str | None = field(default=None, check=_path)

    def check_members(self) -> None:
        if self.certificate is None and (self.key or self.password):
            raise ConstructionError("certificate", "given together with its key")

    def __reduce__(self) -> str | tuple[object, ...]:
        if self.password is not None:
            raise TypeError("the password of a key is not pickled: give it where it is used")
        return super().__reduce__()

    def context(self, ca_bundle: str | None) -> ssl.SSLContext:
        """The context that all this comes to; `ca_bundle` is what the settings say, unless this says otherwise.

        Raises `ConstructionError` if a file is not what it should be, `ImportError` if the extra is missing.
        """
        from ._tls_handshake import context_of  # with it comes `ssl`, which takes 8 ms

        return context_of(self, ca_bundle)


def is_context(value: object) -> TypeGuard[ssl.SSLContext]:
    """Whether it is an `ssl.SSLContext`; whoever made one has imported `ssl`."""
    return "ssl" in sys.modules and isinstance(value, sys.modules["ssl"].SSLContext)
