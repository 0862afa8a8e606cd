"""What speaks TLS: contexts, and the handshake. Imported when somebody is to, since `ssl` takes 8 ms that plain http need not wait for.

One context serves all connections of a client. It is made when the first of them needs it, since reading the system's certificates
takes 16 ms: where they lie in a directory that OpenSSL can search, none is read before it is asked for. TLS 1.2 is the least, whatever
OpenSSL's settings say; the host name is checked; `SSLKEYLOGFILE` is not looked at. An end of a connection without TLS's own farewell
is reported as what it may be, a cut.
"""

from __future__ import annotations

import os
import ssl

from smruntime_core import ConstructionError
from smruntime_core.effects import Flow
from smruntime_core.errors import Phase

from ..nonblocking._connection import READ, Connection
from ..nonblocking._retry import Left, not_sent, patiently
from ._tls import TLS
from ._tls_in_tls import NestedTLS


def context_of(tls: TLS, ca_bundle: str | None) -> ssl.SSLContext:
    """See `TLS.context`."""
    context = _from_truststore() if tls.truststore else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    bundle = tls.ca_bundle or ca_bundle
    if bundle is not None:
        _trust(context, bundle)
    elif not tls.truststore:
        _trust_system(context)
    if tls.certificate is not None:
        try:
            context.load_cert_chain(tls.certificate, tls.key, tls.password or "")  # "": or OpenSSL asks the terminal
        except (OSError, ssl.SSLError):
            raise ConstructionError("certificate", "a file in PEM with its private key, whose password fits") from None
    if tls.key_log is not None:
        try:
            context.keylog_filename = tls.key_log
        except OSError:
            raise ConstructionError("key_log", "a file that can be written", f"{tls.key_log} is not") from None
    return context


def _from_truststore() -> ssl.SSLContext:
    try:
        import truststore
    except ImportError as error:
        raise ImportError("TLS(truststore=True) needs truststore: pip install 'smruntime-core[truststore]'") from error
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _trust(context: ssl.SSLContext, bundle: str) -> None:
    try:
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except (OSError, ssl.SSLError):
        raise ConstructionError("ca_bundle", "a readable file of certificates in PEM", f"{bundle} is not") from None


def _trust_system(context: ssl.SSLContext) -> None:
    """Debian and its kin keep the bundle and the searchable directory together, with the same contents: the directory is enough."""
    paths = ssl.get_default_verify_paths()
    bundle, directory = paths.cafile, paths.capath
    told = {paths.openssl_cafile_env, paths.openssl_capath_env} & set(os.environ)
    together = bundle and directory and os.path.dirname(bundle) == directory and not told
    if directory and together and any(name.endswith(".0") for name in os.listdir(directory)):
        context.load_verify_locations(capath=directory)
    else:
        context.load_default_certs()


def handshake(connection: Connection, context: ssl.SSLContext, host: str, left: Left, phase: Phase = "tls") -> Flow[None]:
    """Have `connection` go on through TLS with `host`; raises `DispatchFailure`."""
    outer, what = connection.sock, f"TLS handshake with {host}"
    try:
        assert not isinstance(outer, NestedTLS), "two layers at the most"  # noqa: S101 - one for the proxy, one for the host
        if isinstance(outer, ssl.SSLSocket) or type(context).__module__.startswith("truststore"):
            inner: ssl.SSLSocket | NestedTLS = NestedTLS(outer, context, host)
        else:
            outer.getpeername()  # or `wrap_socket` would find out, and lose the socket without closing it
            name = host.encode("ascii")  # as text it would cost an import of 2 ms
            inner = context.wrap_socket(outer, server_hostname=name, do_handshake_on_connect=False, suppress_ragged_eofs=False)
    except OSError as error:  # the peer has left already
        raise not_sent("reset", phase, f"{what} broke: {error.strerror or error}") from None
    connection.secured(inner)
    yield from patiently(connection, inner.do_handshake, READ, left, phase, what)
