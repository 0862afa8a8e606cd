"""What httpx and its fork httpx2 share: one request as a flow without I/O, which both drive blocking or awaited.

The library follows redirects inside the flow, with the signature of the first URL. So where the answer to a redirected request
is a refusal, that request is signed and sent once more.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from . import REDIRECTS, Signer, same_origin

RequestT = TypeVar("RequestT", bound=Any)  # of either library; the module that has it says which


def flow(signer: Signer, request: RequestT) -> Generator[RequestT, Any, None]:
    """Sign `request`, and what redirects within its origin make of it."""
    origin = str(request.url)
    for _ in range(REDIRECTS):
        signer.apply(
            request.method,
            str(request.url),
            request.headers,
            request.read(),
            request.headers.multi_items(),
        )
        response = yield request
        redirected = response.request
        if (
            redirected is request
            or response.status_code not in (401, 403)
            or not same_origin(origin, str(redirected.url))
        ):
            return
        request = redirected
