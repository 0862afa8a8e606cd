"""The TLS settings of a client, and the `ssl.SSLContext` that they describe.

One context serves all connections of a client to endpoints, another those to a proxy that speaks
TLS. Each is made when the first connection needs it: importing `ssl` takes 8 ms and reading the
system's certificates 16. Where those are in a directory that OpenSSL can search, none is read
before it is needed.

Every context requires TLS 1.2, whatever OpenSSL's settings say, and a certificate that names the
host in subjectAltName; `SSLKEYLOGFILE` is ignored. An `ssl.SSLContext` of the caller's is used as
it is.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeGuard, cast

from smruntime_core import ConstructionError
from smruntime_core.values import Record, field

if TYPE_CHECKING:
    import ssl


def _check_file_path(member: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        file_path = os.fspath(cast("os.PathLike[str] | os.PathLike[bytes]", value))
        if isinstance(file_path, str):
            return file_path
    raise ConstructionError(member, "a path")


class TLS(Record, kw_only=True):
    """The TLS settings of a client, as its argument `tls`.

    `ca_bundle` is a file of certificates in PEM (or a directory as OpenSSL's `c_rehash` makes it)
    to trust instead of the system's; `truststore=True` has the operating system verify (extra
    `truststore`). `certificate` is the client's own with its chain, in PEM, `key` the file of its
    private key (default: the same file), `password` the password of that. `key_log` is a file for
    the keys of every connection, for Wireshark. All of them are regular files.

    A proxy that speaks TLS is verified with the same settings, but does not get the certificate;
    `Proxy.of(url, tls=TLS(...))` gives it settings of its own.
    """

    ca_bundle: str | None = field(default=None, check=_check_file_path)
    truststore: bool = False
    certificate: str | None = field(default=None, check=_check_file_path)
    key: str | None = field(default=None, check=_check_file_path)
    password: str | None = field(default=None, secret=True)
    key_log: str | None = field(default=None, check=_check_file_path)

    def _check_members(self) -> None:
        if self.certificate is None and (self.key or self.password):
            raise ConstructionError("certificate", "given together with its key")

    def __reduce__(self) -> str | tuple[object, ...]:
        if self.password is not None:
            raise TypeError("the password of a key is not pickled: give it where it is used")
        return super().__reduce__()

    def without_certificate(self) -> TLS:
        """Return the same settings without the client's certificate, for another server."""
        return self.replace(certificate=None, key=None, password=None)

    def context(self, ca_bundle: str | None) -> ssl.SSLContext:
        """Return a context with these settings; `ca_bundle` counts unless they have their own.

        Raises `ConstructionError` for a file that cannot be used, and `ImportError` for a missing
        extra.
        """
        import ssl

        tls_context = (
            _from_truststore() if self.truststore else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        tls_context.minimum_version = ssl.TLSVersion.TLSv1_2
        tls_context.hostname_checks_common_name = False  # RFC 9525: subjectAltName only
        bundle_path = self.ca_bundle or ca_bundle
        if bundle_path is not None:
            _trust_bundle(tls_context, bundle_path)
        else:
            check_named_file()
            if not self.truststore:
                _trust_system(tls_context)
        self._load_certificate(tls_context)
        self._open_key_log(tls_context)
        return tls_context

    def _load_certificate(self, tls_context: ssl.SSLContext) -> None:
        if self.certificate is None:
            return
        for member, file_path in (("certificate", self.certificate), ("key", self.key)):
            if file_path is not None:
                require_file(member, file_path)
        try:  # without a password, "": else OpenSSL asks the terminal
            tls_context.load_cert_chain(self.certificate, self.key, self.password or "")
        except OSError:
            requirement = "a file in PEM with its private key (or the file `key`), and its password"
            problem = f"cannot use {self.certificate}"
            raise ConstructionError("certificate", requirement, problem) from None

    def _open_key_log(self, tls_context: ssl.SSLContext) -> None:
        if self.key_log is None:
            return
        if os.path.exists(self.key_log):
            require_file("key_log", self.key_log)
        try:
            tls_context.keylog_filename = self.key_log
        except OSError:
            requirement, problem = "a file that can be written", f"cannot write {self.key_log}"
            raise ConstructionError("key_log", requirement, problem) from None


def is_context(value: object) -> TypeGuard[ssl.SSLContext]:
    """Return whether `value` is an `ssl.SSLContext`, without importing `ssl`."""
    return "ssl" in sys.modules and isinstance(value, sys.modules["ssl"].SSLContext)


def _from_truststore() -> ssl.SSLContext:
    import ssl

    try:
        import truststore
    except ImportError as error:
        install_remedy = "pip install 'smruntime-core[truststore]'"
        raise ImportError(f"TLS(truststore=True) needs truststore: {install_remedy}") from error
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def require_file(member: str, file_path: str, *, directory: bool = False) -> None:
    """Raise `ConstructionError` unless `file_path` is a regular file (or perhaps a directory).

    OpenSSL opens files by blocking: a FIFO without a writer, or a terminal, would hang a call.
    """
    requirement = "a regular file or a directory" if directory else "a regular file"
    try:
        file_mode = os.stat(file_path).st_mode
    except (OSError, ValueError):  # ValueError: a path with a NUL
        problem, readable = f"cannot read {file_path}", f"{requirement} that can be read"
        raise ConstructionError(member, readable, problem) from None
    if not (stat.S_ISREG(file_mode) or (directory and stat.S_ISDIR(file_mode))):
        problem = f"{file_path} is a FIFO, device, socket or directory"
        raise ConstructionError(member, requirement, problem)


def check_tls_files(settings: Mapping[str, object]) -> None:
    """Raise `ConstructionError` for a file in urllib3's settings that may block, such as a FIFO."""
    for setting in ("ca_certs", "ca_cert_dir", "cert_file", "key_file"):
        file_path = cast("str | None", settings.get(setting))
        if file_path is not None and os.path.exists(file_path):  # else urllib3 says so
            require_file(setting, os.fspath(file_path), directory=setting == "ca_cert_dir")
    check_named_file()


def _trust_bundle(tls_context: ssl.SSLContext, bundle_path: str) -> None:
    require_file("ca_bundle", bundle_path, directory=True)
    try:
        if os.path.isdir(bundle_path):
            tls_context.load_verify_locations(capath=bundle_path)
        else:
            tls_context.load_verify_locations(cafile=bundle_path)
    except OSError:
        requirement, problem = "a file of certificates in PEM", f"cannot read {bundle_path}"
        raise ConstructionError("ca_bundle", requirement, problem) from None


def _trust_system(tls_context: ssl.SSLContext) -> None:
    """Trust the system's certificates.

    Debian and its derivatives keep the bundle and the searchable directory together, with the same
    contents: the directory is enough.
    """
    import ssl

    default_paths = ssl.get_default_verify_paths()
    bundle_path, directory = default_paths.cafile, default_paths.capath
    variables = default_paths.openssl_cafile_env, default_paths.openssl_capath_env
    is_chosen = any(variable in os.environ for variable in variables)
    are_together = bundle_path and os.path.dirname(bundle_path) == directory and not is_chosen
    if directory and are_together and any(name.endswith(".0") for name in os.listdir(directory)):
        tls_context.load_verify_locations(capath=directory)
    else:
        tls_context.load_default_certs()


def check_named_file() -> None:
    """Raise `ConstructionError` if OpenSSL's variable (`SSL_CERT_FILE`) names what may block."""
    import ssl

    file_variable = ssl.get_default_verify_paths().openssl_cafile_env
    named_file = os.environ.get(file_variable)
    if named_file and os.path.exists(named_file):  # OpenSSL ignores one that is missing
        require_file(file_variable, named_file)
