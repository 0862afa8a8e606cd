"""The TLS settings of a client, and the `ssl.SSLContext` that they describe.

One context serves all connections of a client. It is made when the first of them needs it: importing
`ssl` takes 8 ms and reading the system's certificates 16. Where those lie in a directory that OpenSSL
can search, none is read before it is needed. TLS 1.2 is the least, whatever OpenSSL's settings say;
the host name is checked; `SSLKEYLOGFILE` is ignored.
"""

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
    """The TLS settings of a client, as its argument `tls`.

    `ca_bundle` is a file of certificates in PEM (or a directory as OpenSSL's `c_rehash` makes it) to
    trust instead of the system's; `truststore=True` has the operating system verify (extra
    `truststore`). `certificate` is the client's own with its chain, in PEM, `key` the file of its
    private key (default: the same file), `password` the password of that. `key_log` is a file for the
    keys of every connection, for Wireshark.
    """

    ca_bundle: str | None = field(default=None, check=_path)
    truststore: bool = False
    certificate: str | None = field(default=None, check=_path)
    key: str | None = field(default=None, check=_path)
    password: str | None = field(default=None, secret=True)
    key_log: str | None = field(default=None, check=_path)

    def _check_members(self) -> None:
        if self.certificate is None and (self.key or self.password):
            raise ConstructionError("certificate", "given together with its key")

    def __reduce__(self) -> str | tuple[object, ...]:
        if self.password is not None:
            raise TypeError("the password of a key is not pickled: give it where it is used")
        return super().__reduce__()

    def context(self, ca_bundle: str | None) -> ssl.SSLContext:
        """Return a context with these settings; `ca_bundle` counts unless they have their own.

        Raises `ConstructionError` for a file that cannot be used, `ImportError` for a missing extra.
        """
        import ssl

        context = _from_truststore() if self.truststore else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        bundle = self.ca_bundle or ca_bundle
        if bundle is not None:
            _trust(context, bundle)
        elif not self.truststore:
            _trust_system(context)
        self._identify(context)
        return context

    def _identify(self, context: ssl.SSLContext) -> None:
        if self.certificate is not None:
            try:  # without a password, "": else OpenSSL asks the terminal
                context.load_cert_chain(self.certificate, self.key, self.password or "")
            except OSError:
                rule = "a file in PEM with its private key, and the password of that"
                raise ConstructionError("certificate", rule) from None
        if self.key_log is not None:
            try:
                context.keylog_filename = self.key_log
            except OSError:
                found = f"{self.key_log} is not"
                raise ConstructionError("key_log", "a file that can be written", found) from None


def is_context(value: object) -> TypeGuard[ssl.SSLContext]:
    """Return whether it is an `ssl.SSLContext`; if there is one, `ssl` has been imported."""
    return "ssl" in sys.modules and isinstance(value, sys.modules["ssl"].SSLContext)


def _from_truststore() -> ssl.SSLContext:
    import ssl

    try:
        import truststore
    except ImportError as error:
        remedy = "pip install 'smruntime-core[truststore]'"
        raise ImportError(f"TLS(truststore=True) needs truststore: {remedy}") from error
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _trust(context: ssl.SSLContext, bundle: str) -> None:
    try:
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except OSError:
        rule = "a readable file of certificates in PEM"
        raise ConstructionError("ca_bundle", rule, f"{bundle} is not") from None


def _trust_system(context: ssl.SSLContext) -> None:
    """Trust the system's certificates.

    Debian and its kin keep the bundle and the searchable directory together, with the same contents:
    the directory is enough.
    """
    import ssl

    paths = ssl.get_default_verify_paths()
    bundle, directory = paths.cafile, paths.capath
    chosen = {paths.openssl_cafile_env, paths.openssl_capath_env} & set(os.environ)
    together = bundle and directory and os.path.dirname(bundle) == directory and not chosen
    if directory and together and any(name.endswith(".0") for name in os.listdir(directory)):
        context.load_verify_locations(capath=directory)
    else:
        context.load_default_certs()
