"""Reading an object of S3: all that waiting for an asynchronous answer needs of that service.

    s3://bucket/key     signed; https://bucket.s3.REGION.amazonaws.com/key, or the path form https://host/bucket/key where the
                        bucket's name is no host label, or where an endpoint of one's own is set
    https://…           signed if it is on a host of AWS, else fetched as it is: nobody else sees a session token

S3 says 404 NoSuchKey while an object is not there, but 403 AccessDenied to whoever may not list the bucket. It names the right region
when asked in another. What is mended once, for nothing: the region, the clock, credentials that have expired. What may pass by itself
(no connection, 5xx, SlowDown) counts as "not there yet", until it has happened some times in a row.
"""

from __future__ import annotations

import re
from typing import Final

from ..config._endpoints import Config, partition
from ..effects import Flow, GetCredentials, Send
from ..errors import ConstructionError, DispatchFailure, ServiceError
from ..metadata import Metadata
from ..signing import S3, sign
from ..signing._canonical import encode_value
from ..values._credentials import Credentials, Scope
from ..values._http import Request, Response
from ..values._url import split_url
from ._clock_skew import ClockSkew
from ._deadline import Clock, Deadline

PATIENCE: Final = 5  # failures in a row that may pass by themselves
_ABSENT = ("NoSuchKey", "404")
_EXPIRED = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
_PLACE = r"s3://([^/\ud800-\udfff]+)/([^\ud800-\udfff]+)"
_LABEL = "[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"


class ObjectReader:
    """Reads objects for one waiting caller; what it learns about the bucket's region it remembers."""

    def __init__(
        self, config: Config, clock: Clock, skew: ClockSkew, *, max_body: int | None = None
    ) -> None:
        self._config = config
        self._clock = clock
        self._skew = skew
        self._max_body = max_body
        self._region = config.region
        self._failures = 0

    def get(self, location: str, deadline: Deadline) -> Flow[bytes | None]:
        """The object at `location` (an s3:// or http(s) URL), None if there is none yet.

        Raises `ConstructionError` if it is neither, `ServiceError` with S3's code, `DispatchFailure` if S3 cannot be reached,
        `CredentialsError`.
        """
        try:
            answer = yield from self._asked(location, deadline)
        except (DispatchFailure, ServiceError) as failure:
            if isinstance(failure, ServiceError) and failure.code in _ABSENT:
                answer = None
            else:
                self._failures += 1
                if not _may_pass(failure) or self._failures >= PATIENCE or deadline.passed_in(0.0):
                    raise
                return None
        self._failures = 0
        return answer

    def _asked(self, location: str, deadline: Deadline) -> Flow[bytes]:
        credentials: Credentials | None = None
        mended: set[str] = set()
        while True:
            url, signed = self._url(location)
            if signed and credentials is None:
                credentials = yield from GetCredentials(deadline.left())
            sent = self._clock.time()
            request = Request("GET", url)
            made = sign(
                request,
                credentials,
                Scope(self._region, "s3"),
                now=sent + self._skew.seconds,
                dialect=S3,
            )
            request = request.replace(headers=made.headers)
            response = yield from Send(
                request, deadline.left(), self._config.timeouts, max_body=self._max_body
            )
            if response.status == 200:
                return response.body
            refusal = _refusal(response)
            cause = self._mend(refusal, sent)
            if cause == "credentials" and cause not in mended:
                credentials = yield from GetCredentials(deadline.left(), credentials)
            if cause is None or cause in mended:
                raise refusal
            mended.add(cause)

    def _mend(self, refusal: ServiceError, sent: float) -> str | None:
        """What was wrong and may be right the next time."""
        region = {name.lower(): value for name, value in refusal.metadata.headers}.get(
            "x-amz-bucket-region", self._region
        )
        if region != self._region and re.fullmatch("[a-z0-9-]{1,63}", region):
            self._region = region
            return "region"
        if self._skew.learn(refusal, sent, self._clock.time()):
            return "clock"
        return "credentials" if refusal.code in _EXPIRED else None

    def _url(self, location: str) -> tuple[str, bool]:
        """What to fetch, and whether it is signed."""
        suffix = partition(self._region)[1]
        if not location.startswith("s3://"):
            scheme, authority, _, _ = split_url(location)
            return location, scheme == "https" and authority.endswith(f".{suffix}")
        found = re.fullmatch(_PLACE, location)
        if found is None:  # without a key it would be the list of the bucket, taken for the answer
            raise ConstructionError("location", "s3://bucket/key, or a URL")
        bucket, key = found.groups()
        path = "/".join(map(encode_value, key.split("/")))
        if self._config.s3_endpoint_url is not None:
            return f"{self._config.s3_endpoint_url}/{encode_value(bucket)}/{path}", True
        host = f"s3{'-fips' * self._config.use_fips}{'.dualstack' * self._config.use_dualstack}.{self._region}.{suffix}"
        if re.fullmatch(_LABEL, bucket):
            return f"https://{bucket}.{host}/{path}", True
        return f"https://{host}/{encode_value(bucket)}/{path}", True


def _may_pass(failure: DispatchFailure | ServiceError) -> bool:
    return failure.retryable if isinstance(failure, ServiceError) else failure.kind != "tls"


def _refusal(response: Response) -> ServiceError:
    """S3's error: an XML document, or nothing but the status."""
    text = response.body[: 64 * 1024].decode("utf-8", "replace")
    code, message = (re.search(rf"<{name}>([^<]*)</{name}>", text) for name in ("Code", "Message"))
    request_id = next(
        (value for name, value in response.headers if name.lower() == "x-amz-request-id"), None
    )
    return ServiceError(
        message[1] if message else "",
        code=code[1] if code else None,
        status=response.status,
        body=response.body,
        truncated=response.truncated,
        metadata=Metadata(request_id, response.status, response.headers),
    )
