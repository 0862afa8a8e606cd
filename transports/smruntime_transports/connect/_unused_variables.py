"""Environment variables that other HTTP clients read and this library does not.

Code that works with requests or curl behind a corporate proxy fails here unless the proxy or the
certificates are given. `advise` adds the cause to the failure of a connection, and `unread` lists
the variables for a report.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from smruntime_core import ConstructionError, DispatchFailure

from ._proxies import Proxies

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
USE_BUNDLE = "set AWS_CA_BUNDLE, or pass tls=TLS(ca_bundle=...)"
USE_PROXY = "pass proxy=, or trust_env=True"
_UNREACHED = ("resolve", "connect")


def unread(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables that are set and not read, each with what to do to have it used."""
    names = [name for scheme in ("https", "http") for name in _proxy_names(scheme)]
    proxies = [(name, USE_PROXY) for name in dict.fromkeys(names) if environ.get(name, "").strip()]
    return proxies + [(name, USE_BUNDLE) for name in BUNDLES if environ.get(name, "").strip()]


def advise(failure: DispatchFailure, origin: tuple[str, str], environ: Mapping[str, str]) -> None:
    """Set the hint of a failed connection to `origin` if an unread variable may explain it.

    Variables are named, their values are not: a proxy's URL may hold a password.
    """
    if failure.phase in _UNREACHED:
        name = _proxy_for(origin, environ)
        if name:
            failure.hint = f"{name} is set but not used: {USE_PROXY}"
    elif failure.phase == "tls" and failure.kind == "tls":
        name = next((name for name in BUNDLES if environ.get(name, "").strip()), None)
        if name:
            failure.hint = f"{name} is set but not read: {USE_BUNDLE}"


def _proxy_names(scheme: str) -> tuple[str, ...]:
    """Return the variables that may name a proxy for `scheme`, the first that is set wins."""
    return f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"


def _proxy_for(origin: tuple[str, str], environ: Mapping[str, str]) -> str | None:
    """Return the variable that names a proxy for `origin`, None if no client would use one."""
    from urllib.parse import urlsplit  # only a failure costs it

    scheme, authority = origin
    name = next((name for name in _proxy_names(scheme) if environ.get(name, "").strip()), None)
    parts = urlsplit(f"{scheme}://{authority}")
    port = parts.port or (443 if scheme == "https" else 80)
    with suppress(ConstructionError):  # a URL that is no proxy's
        if name and Proxies(None, environ).to(scheme, parts.hostname or "", port):
            return name
    return None
