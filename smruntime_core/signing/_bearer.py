"""Bearer tokens made of a signature, for services that take one in place of SigV4.

A token is a presigned URL that is never called: the service reads in it which credentials made it.

    prefix ‖ base64(URL without "https://" ‖ "&Version=1")
    URL       presigned https://SERVICE.amazonaws.com/?Action=CallWithBearerToken
    prefix    "SERVICE-api-key-"

SageMaker takes such a token on the OpenAI-compatible path of an endpoint, Bedrock on its whole API.
Making one needs no request. It requires the permission `SERVICE:CallWithBearerToken` and that of
the call itself. A token is a secret: it grants all that its credentials may do on that API, for
twelve hours at most.
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

MAX_EXPIRES = 43_200  # seconds: twelve hours
REPLACED_BEFORE_END = 300  # seconds
_VERSION_PARAMETER = "&Version=1"


def bearer_token(
    credentials: Credentials,
    region: str,
    *,
    now: float,
    expires: int = MAX_EXPIRES,
    service: str = "sagemaker",
) -> str:
    """Return a token for `service` ("sagemaker" or "bedrock") in `region`.

    It is good for `expires` seconds from `now`, in seconds since the epoch, or until the
    credentials expire. Raises `ConstructionError` if `expires` is not 1 to 43200 or `now` is not
    finite.
    """
    check_clock(now)
    if type(expires) is not int or not 1 <= expires <= MAX_EXPIRES:
        raise ConstructionError(
            "expires", f"whole seconds from 1 to {MAX_EXPIRES}", f"found {expires!r}"
        )
    scope = Scope(region, service)
    url = presign(_signed_request(service), credentials, scope, now=now, expires=expires).url
    encoded_url = b64encode(f"{url.removeprefix('https://')}{_VERSION_PARAMETER}".encode())
    return _token_prefix(service) + encoded_url.decode()


def verify_bearer(
    token: str,
    credentials_by_id: Mapping[str, Credentials],
    scope: Scope,
    *,
    now: float,
    max_skew: float = MAX_SKEW,
) -> Credentials:
    """Return the credentials that made `token`; raise like `verify`."""
    check_clock(now, max_skew)
    url = _decode_url(token, scope.service)
    if url is None:
        message = "The bearer token included in the request is invalid."
        raise refusal("UnrecognizedClientException", message)
    request = _signed_request(scope.service).replace(
        url=url, headers=(("host", f"{scope.service}.amazonaws.com"),)
    )
    return verify(request, credentials_by_id, scope, now=now, max_skew=max_skew)


class BearerToken:
    """A token that is replaced before it ends.

    `credentials` are those to make it with, or a function that returns them each time. The token
    ends with its credentials.
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
        self._region = region
        self._expires = expires
        self._service = service
        # The token, and from when until when it is returned; one tuple, because threads share it.
        self._current_token: tuple[str, float, float] = ("", 0.0, 0.0)

    def at(self, now: float) -> str:
        """Return a token that is good at `now`, in seconds since the epoch.

        Raises like `bearer_token`.
        """
        token, first_use, last_use = self._current_token
        if not first_use <= now < last_use:
            credentials = self._credentials
            if not isinstance(credentials, Credentials):
                credentials = credentials()
            token = bearer_token(
                credentials, self._region, now=now, expires=self._expires, service=self._service
            )
            token_end = min(now + self._expires, credentials.expires_at or now + self._expires)
            self._current_token = (
                token,
                now,
                token_end - min(REPLACED_BEFORE_END, (token_end - now) / 2),
            )
        return token

    def __repr__(self) -> str:
        return f"<BearerToken for {self._service} in {self._region}>"


def _signed_request(service: str) -> Request:
    return Request("POST", f"https://{service}.amazonaws.com/?Action=CallWithBearerToken")


def _token_prefix(service: str) -> str:
    return f"{service}-api-key-"


def _decode_url(token: str, service: str) -> str | None:
    """Return the presigned URL in `token`, None if `bearer_token` makes no such token."""
    encoded_url = token.removeprefix(_token_prefix(service))
    try:
        decoded_text = (
            b64decode(encoded_url, validate=True).decode("ascii") if encoded_url != token else ""
        )
    except ValueError:
        return None
    query = decoded_text.removeprefix(f"{service}.amazonaws.com/?")
    parameters = unique_parameters(query) or {}
    right_action = parameters.get("Action") == "CallWithBearerToken"
    if query == decoded_text or not decoded_text.endswith(_VERSION_PARAMETER) or not right_action:
        return None
    expires = parameters.get("X-Amz-Expires", "")
    if not (re.fullmatch("[0-9]{1,6}", expires) and int(expires) <= MAX_EXPIRES):
        return None
    return f"https://{decoded_text.removesuffix(_VERSION_PARAMETER)}"
