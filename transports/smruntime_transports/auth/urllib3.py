"""`PoolManager(signer)` for urllib3."""

from __future__ import annotations

from typing import Any

try:
    import urllib3
    from urllib3._collections import HTTPHeaderDict
    from urllib3.util import parse_url
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.auth.urllib3 needs urllib3: pip install 'smruntime-core[urllib3]'"
    ) from _missing

from ._signer import Signer


class PoolManager(urllib3.PoolManager):
    """A pool manager that signs every request with `signer`, redirects included.

    It accepts the settings of urllib3's own.
    """

    def __init__(self, signer: Signer, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._signer = signer

    def urlopen(  # type: ignore[override]  # urllib3 names what is a setting here
        self, method: str, url: str, redirect: bool = True, **settings: Any
    ) -> urllib3.BaseHTTPResponse:
        """Sign and send a request; urllib3 calls this again for each redirect."""
        sent_url = parse_url(url).url
        given_headers = settings.get("headers")
        signed_headers = HTTPHeaderDict(self.headers if given_headers is None else given_headers)
        self._signer.apply(
            method,
            sent_url,
            signed_headers,
            settings.get("body"),
            list(signed_headers.iteritems()),
            first_url=_find_first_url(settings.get("retries")),
        )
        settings["headers"] = signed_headers
        return super().urlopen(method, sent_url, redirect, **settings)


def _find_first_url(retries: object) -> str | None:
    """Return the URL of the first request; None if no redirect led to this one.

    Retries within one connection pool have relative URLs; only those of the manager count.
    """
    retry_history = retries.history if isinstance(retries, urllib3.Retry) else ()
    redirect_urls = [
        earlier.url for earlier in retry_history if earlier.redirect_location and earlier.url
    ]
    return next((url for url in redirect_urls if not url.startswith("/")), None)
