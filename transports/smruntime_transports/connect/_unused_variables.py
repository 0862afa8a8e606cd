"""Environment variables that other HTTP clients read and this library does not.

Code that works with requests or curl behind a corporate proxy fails here unless the proxy or the
certificates are given. `advise` adds the cause to the failure of a connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from smruntime_core import ConstructionError, DispatchFailure
from smruntime_core.values import split_authority

from ..nonblocking._retry import TRUST
from ._proxies import Proxies

BUNDLE_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
USE_BUNDLE: Final = "set AWS_CA_BUNDLE, or pass tls=TLS(ca_bundle=...)"
USE_PROXY: Final = "pass proxy=, or trust_env=True"


def advise(
    failure: DispatchFailure, origin: tuple[str, str], environment: Mapping[str, str]
) -> None:
    """Set the hint of a failed connection to `origin` if an unread variable may explain it.

    Variables are named, their values are not: a proxy's URL may hold a password.
    """
    if failure.phase in ("resolve", "connect"):
        unused_variable = _first_nonempty(_proxy_variables(origin[0]), environment)
        if unused_variable and _leads_through_proxy(origin, environment):
            failure.hint = f"{unused_variable} is set but not read: {USE_PROXY}"
    elif failure.phase == "tls" and failure.kind == "tls":
        unused_variable = _first_nonempty(BUNDLE_VARIABLES, environment)
        if unused_variable and failure.hint in (None, TRUST):
            failure.hint = f"{unused_variable} is set but not read: {USE_BUNDLE}"


def _proxy_variables(scheme: str) -> tuple[str, ...]:
    """Return the variables that may name a proxy for `scheme`; the first that is set counts."""
    return f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"


def _is_nonempty(variable_name: str, environment: Mapping[str, str]) -> bool:
    return bool(environment.get(variable_name, "").strip())


def _first_nonempty(variable_names: tuple[str, ...], environment: Mapping[str, str]) -> str | None:
    return next((name for name in variable_names if _is_nonempty(name, environment)), None)


def _leads_through_proxy(origin: tuple[str, str], environment: Mapping[str, str]) -> bool:
    """Return whether other clients would reach `origin` through a proxy of `environment`."""
    with suppress(ConstructionError):  # a variable does not hold the URL of a proxy
        proxies = Proxies(None, environment)
        return proxies.proxy_for(origin[0], *split_authority(*origin)) is not None
    return False
