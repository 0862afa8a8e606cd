"""`PoolManager(signer)` for urllib3."""

from __future__ import annotations

from typing import Any

try:
    import urllib3
    from urllib3._collections import HTTPHeaderDict
    from urllib3.util import parse_url
except ImportError as missing:
    raise ImportError(
        "smruntime_transports.auth.urllib3 needs urllib3: pip install 'smruntime-core[urllib3]'"
    ) from missing

from . import Signer, same_origin, strip


class PoolManager(urllib3.PoolManager):
    """urllib3's own, which signs with `signer` whatever it sends, redirects within the same origin included."""

    def __init__(
        self, signer: Signer, *args: Any, **settings: Any
    ) -> None:  # `Any`: whatever urllib3's own takes
        super().__init__(*args, **settings)
        self._signer = signer

    def urlopen(  # type: ignore[override]  # urllib3 names what is passed on here as settings
        self, method: str, url: str, redirect: bool = True, **settings: Any
    ) -> urllib3.BaseHTTPResponse:
        url = parse_url(url).url  # as it will be sent
        headers = HTTPHeaderDict(
            self.headers if settings.get("headers") is None else settings["headers"]
        )
        if _left(url, settings.get("retries")):
            strip(headers)
        else:
            self._signer.apply(
                method, url, headers, settings.get("body"), list(headers.iteritems())
            )
        settings["headers"] = headers
        return super().urlopen(method, url, redirect, **settings)


def _left(url: str, retries: object) -> bool:
    """A redirect has led to another origin."""
    history = retries.history if isinstance(retries, urllib3.Retry) else ()
    first = next((past.url for past in history if past.redirect_location and past.url), url)
    return not same_origin(first, url)
