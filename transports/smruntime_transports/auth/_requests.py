"""What requests and its fork niquests share: signing what is prepared, and again what a redirect has made of it.

The library copies the headers of a request into the one that follows a redirect, and with them a session token for whoever
is there. So they are stripped when it is redirected; where the answer to what follows is a refusal, that is signed and sent once more.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from . import Signer, same_origin, strip


def prepare(signer: Signer, prepared: Any, parse_url: Any, answered: Any = None) -> Any:
    """Sign a prepared request of either library; `answered` is the hook that looks at its answer."""
    _apply(signer, prepared, parse_url)
    again = partial(_again, signer, prepared.method, prepared.url, parse_url)
    prepared.register_hook("response", partial(answered or answered_blocking, again))
    return prepared


def answered_blocking(again: Any, response: Any, **settings: Any) -> Any:
    """The answer to look at: `response`, or that to the request signed anew."""
    request = again(response)
    if request is None:
        return response
    _ = response.content  # gives the connection back
    return _joined(response, response.connection.send(request, **settings), request)


async def answered_awaited(again: Any, response: Any, **settings: Any) -> Any:
    """The same on an asynchronous session."""
    request = again(response)
    if request is None:
        return response
    await response.content
    return _joined(response, await response.connection.send(request, **settings), request)


def _apply(signer: Signer, prepared: Any, parse_url: Any) -> None:
    if isinstance(prepared.body, str):
        prepared.body = prepared.body.encode()
    prepared.url = parse_url(
        prepared.url
    ).url  # urllib3 writes the escapes of a path its own way when it sends it
    signer.apply(prepared.method, prepared.url, prepared.headers, prepared.body)


def _again(signer: Signer, method: str, url: str, parse_url: Any, response: Any) -> Any:
    """The request to send instead of the one that was refused; None if it was signed for what it is."""
    asked = response.request
    if response.is_redirect:
        strip(asked.headers)
    if (
        response.status_code not in (401, 403)
        or (asked.method, asked.url) == (method, url)
        or not same_origin(url, asked.url)
    ):
        return None
    again = asked.copy()
    _apply(signer, again, parse_url)
    return again


def _joined(refused: Any, answer: Any, request: Any) -> Any:
    answer.history.append(refused)
    answer.request = request
    return answer
