"""Environment variables that other HTTP clients read and this library does not.

Code that works with requests or curl behind a corporate proxy fails here unless the proxy or the
certificates are given. `advise` adds the cause to the failure of a connection, and `unread` lists
the variables for a report.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from smruntime_core import ConstructionError, DispatchFailure
from smruntime_core.values import split_authority

from ._proxies import Proxies

BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
USE_BUNDLE: Final = "set AWS_CA_BUNDLE, or pass tls=TLS(ca_bundle=...)"
USE_PROXY: Final = "pass proxy=, or trust_env=True"


def unread(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables that are set and not read, each with the remedy."""
    proxy_names = dict.fromkeys((*_proxy_names("https"), *_proxy_names("http")))
    proxies = [(name, USE_PROXY) for name in proxy_names if _is_set(name, environ)]
    return proxies + [(name, USE_BUNDLE) for name in BUNDLES if _is_set(name, environ)]


def advise(failure: DispatchFailure, origin: tuple[str, str], environ: Mapping[str, str]) -> None:
    """Set the hint of a failed connection to `origin` if an unread variable may explain it.

    Variables are named, their values are not: a proxy's URL may hold a password.
    """
    if failure.phase in ("resolve", "connect"):
        variable = _first_set(_proxy_names(origin[0]), environ)
        if variable and _leads_through_proxy(origin, environ):
            failure.hint = f"{variable} is set but not used: {USE_PROXY}"
    elif failure.phase == "tls" and failure.kind == "tls":
        variable = _first_set(BUNDLES, environ)
        if variable:
            failure.hint = f"{variable} is set but not read: {USE_BUNDLE}"


def _proxy_names(scheme: str) -> tuple[str, ...]:
    """Return the variables that may name a proxy for `scheme`; the first that is set counts."""
    return f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"


def _is_set(name: str, environ: Mapping[str, str]) -> bool:
    return bool(environ.get(name, "").strip())


def _first_set(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((name for name in names if _is_set(name, environ)), None)


def _leads_through_proxy(origin: tuple[str, str], environ: Mapping[str, str]) -> bool:
    """Return whether other clients would reach `origin` through a proxy of `environ`."""
    with suppress(ConstructionError):  # a variable does not hold the URL of a proxy
        return Proxies(None, environ).to(origin[0], *split_authority(*origin)) is not None
    return False
