"""Sign prepared requests of requests and its fork niquests, and what redirects make of them.

The library copies the headers of a request into the one that follows a redirect. A response hook
therefore removes the signature first. If the redirected request is refused (401, 403) within the
first origin, the hook signs it and sends it once more.

    request ──> 307 ──> hook: remove signature ──> unsigned request ──> 403 ──> hook: sign, send
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ._signer import Signer, encode_text, remove_signature, same_origin


def sign_prepared(signer: Signer, prepared: Any, parse_url: Any, respond: Any = None) -> Any:
    """Sign a prepared request of either library; `respond` is the hook for its response."""
    _sign_request(signer, prepared, parse_url, prepared.url)
    sign_redirected = partial(_sign_redirected, signer, prepared.method, prepared.url, parse_url)
    prepared.register_hook("response", partial(respond or respond_sync, sign_redirected))
    return prepared


def respond_sync(sign_redirected: Any, response: Any, **send_options: Any) -> Any:
    """Return `response`, or the response to the redirected request that was signed anew."""
    request = sign_redirected(response)
    if request is None:
        return response
    _ = response.content  # returns the connection to the pool
    return _append_history(response, response.connection.send(request, **send_options), request)


async def respond_async(sign_redirected: Any, response: Any, **send_options: Any) -> Any:
    """Send a redirected request signed anew, in an asynchronous session."""
    request = sign_redirected(response)
    if request is None:
        return response
    await response.content
    return _append_history(
        response, await response.connection.send(request, **send_options), request
    )


def _sign_request(signer: Signer, prepared: Any, parse_url: Any, first_url: str) -> None:
    prepared.body = encode_text(prepared.body)
    prepared.url = parse_url(prepared.url).url  # urllib3 escapes the path when it sends it
    signer.apply(
        prepared.method, prepared.url, prepared.headers, prepared.body, first_url=first_url
    )


def _sign_redirected(
    signer: Signer, method: str, first_url: str, parse_url: Any, response: Any
) -> Any:
    """Return the refused request signed anew; None if it was signed, or is of another origin."""
    request = response.request
    if response.is_redirect:
        remove_signature(request.headers)
    if response.status_code not in (401, 403) or (request.method, request.url) == (
        method,
        first_url,
    ):
        return None
    if not same_origin(first_url, request.url):
        return None
    resigned_request = request.copy()
    _sign_request(signer, resigned_request, parse_url, first_url)
    return resigned_request


def _append_history(refused: Any, response: Any, request: Any) -> Any:
    response.history.append(refused)
    response.request = request
    return response
