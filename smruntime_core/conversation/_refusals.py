"""What was signed, for the error of a service that refuses the signature.

The request is signed once more as it was sent, so a call that succeeds keeps no copy of the texts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..signing import explain, sign

if TYPE_CHECKING:
    from ..errors import ServiceError
    from ..values._credentials import Credentials, Scope
    from ..values._http import Headers, Request


MAX_QUOTE: Final = 64 * 1024  # characters of a message that are compared: some milliseconds


def explain_refusal(
    refusal: ServiceError,
    sent: Request,
    credentials: Credentials,
    scope: Scope,
    *,
    now: float,
    signing_host: str | None,
    extra_headers: Headers,
) -> None:
    """Set `refusal.explanation`, if the service refused the signature of `sent`, made at `now`."""
    headers = {name.lower(): value for name, value in sent.headers}
    signed = re.search("SignedHeaders=([^,]+)", headers.get("authorization", ""))
    if signed is None or "Signature" not in refusal.code:
        return
    if signing_host is not None:
        sent = sent.replace(headers=(*sent.headers, ("host", signing_host)))
    names = signed[1].split(";")
    signature = sign(sent, credentials, scope, now=now, signed_headers=names)
    refusal.explanation = explain(
        signature,
        refusal.message_raw[:MAX_QUOTE],
        secret_headers=[name for name, _ in extra_headers],
    )
