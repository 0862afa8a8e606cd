"""What requests and its fork niquests share: signing what is prepared, and again what a redirect has made of it.

The library copies the headers of a request into the one that follows a redirect, the signature of the first URL with them. So where
the answer to such a request is a refusal, it is signed and sent once more.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from . import Signer, same_origin


def prepare(signer: Signer, prepared: Any, parse_url: Any) -> Any:
    """Sign a prepared request of either library."""
    _apply(signer, prepared, parse_url)
    prepared.register_hook("response", partial(_answered, signer, prepared.method, prepared.url, parse_url))
    return prepared


def _apply(signer: Signer, prepared: Any, parse_url: Any) -> None:
    if isinstance(prepared.body, str):
        prepared.body = prepared.body.encode()
    prepared.url = parse_url(prepared.url).url  # urllib3 writes the escapes of a path its own way when it sends it
    signer.apply(prepared.method, prepared.url, prepared.headers, prepared.body)


def _answered(signer: Signer, method: str, url: str, parse_url: Any, response: Any, **settings: Any) -> Any:
    asked = response.request
    stale = (asked.method, asked.url) != (method, url)
    if response.status_code not in (401, 403) or not stale or not same_origin(url, asked.url):
        return response
    _ = response.content  # gives the connection back
    again = asked.copy()
    _apply(signer, again, parse_url)
    answer = response.connection.send(again, **settings)
    answer.history.append(response)
    answer.request = again
    return answer
