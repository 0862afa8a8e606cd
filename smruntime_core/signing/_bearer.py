"""Bearer tokens made of a signature: for services that take one in place of SigV4, as OpenAI's clients send it.

A token is a presigned URL, good for twelve hours at most, which nobody calls: the service reads in it who made it.

    prefix ‖ base64( presigned https://SERVICE.amazonaws.com/?Action=CallWithBearerToken, without "https://" ‖ "&Version=1" )

The prefix is "SERVICE-api-key-". SageMaker takes such a token on the OpenAI-compatible path of an endpoint, Bedrock on its whole API;
making one asks nobody. Its permission is `SERVICE:CallWithBearerToken` beside that of the call itself. Whoever has a token may do
all that its maker may on that API: it is a secret.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping

from ..errors import ConstructionError
from ..values._credentials import Credentials, Scope
from ..values._http import Request
from ._claim import refusal, unique_parameters
from ._presign import presign
from ._verify import MAX_SKEW, check_clock, verify

MAX_EXPIRES = 43_200  # twelve hours
EARLY = 300  # seconds before its end that a token is replaced
_VERSION = "&Version=1"


def bearer_token(
    credentials: Credentials,
    region: str,
    *,
    now: float,
    expires: int = MAX_EXPIRES,
    service: str = "sagemaker",
) -> str:
    """A token for `service` ("sagemaker", "bedrock") in `region`, good for `expires` seconds from `now`, or as long as the credentials.

    Raises `ConstructionError` if `expires` is not 1 to 43200 or `now` is not finite.
    """
    check_clock(now)
    if type(expires) is not int or not 1 <= expires <= MAX_EXPIRES:
        raise ConstructionError("expires", f"whole seconds from 1 to {MAX_EXPIRES}")
    url = presign(
        _request(service), credentials, Scope(region, service), now=now, expires=expires
    ).url
    return (
        _prefix(service) + b64encode(f"{url.removeprefix('https://')}{_VERSION}".encode()).decode()
    )


def verify_bearer(
    token: str,
    credentials_by_id: Mapping[str, Credentials],
    scope: Scope,
    *,
    now: float,
    max_skew: float = MAX_SKEW,
) -> Credentials:
    """Return the credentials that made `token`; raises like `verify`."""
    check_clock(now, max_skew)
    made = _url(token, scope.service)
    if made is None:
        raise refusal(
            "UnrecognizedClientException", "The bearer token included in the request is invalid."
        )
    request = _request(scope.service).replace(
        url=made, headers=(("host", f"{scope.service}.amazonaws.com"),)
    )
    return verify(request, credentials_by_id, scope, now=now, max_skew=max_skew)


class BearerToken:
    """A token that is made anew before it ends: `at(now)` is one that is still good for a while.

    `credentials` are those to make it with, or a function that gives them each time; a token ends with credentials that expire.
    """

    def __init__(
        self,
        credentials: Credentials | Callable[[], Credentials],
        region: str,
        *,
        expires: int = MAX_EXPIRES,
        service: str = "sagemaker",
    ) -> None:
        self._credentials = credentials
        self._region, self._expires, self._service = region, expires, service
        self._kept = ("", 0.0, 0.0)  # token, from when on, until when it is given out

    def at(self, now: float) -> str:
        """The token for `now`, in seconds since the epoch; raises like `bearer_token`."""
        token, first, last = self._kept
        if not first <= now < last:
            source = self._credentials
            credentials = source if isinstance(source, Credentials) else source()
            token = bearer_token(
                credentials, self._region, now=now, expires=self._expires, service=self._service
            )
            end = min(now + self._expires, credentials.expires_at or now + self._expires)
            self._kept = (
                token,
                now,
                end - min(EARLY, (end - now) / 2),
            )  # in one step: threads share it
        return token

    def __repr__(self) -> str:
        return f"<BearerToken for {self._service} in {self._region}>"


def _request(service: str) -> Request:
    return Request("POST", f"https://{service}.amazonaws.com/?Action=CallWithBearerToken")


def _prefix(service: str) -> str:
    return f"{service}-api-key-"


def _url(token: str, service: str) -> str | None:
    """The presigned URL in `token`, None if it is not one that `bearer_token` makes."""
    coded = token.removeprefix(_prefix(service))
    try:
        text = b64decode(coded, validate=True).decode("ascii") if coded != token else ""
    except ValueError:
        return None
    query = text.removeprefix(f"{service}.amazonaws.com/?")
    pairs = unique_parameters(query) or {}
    if query == text or not text.endswith(_VERSION) or pairs.get("Action") != "CallWithBearerToken":
        return None
    expires = pairs.get("X-Amz-Expires", "")
    if not (re.fullmatch("[0-9]{1,6}", expires) and int(expires) <= MAX_EXPIRES):
        return None
    return f"https://{text.removesuffix(_VERSION)}"
