"""Read and write single objects of S3: the inputs and answers of asynchronous invocations.

`_locations` decides which URL a location means and whether the request is signed.

S3 answers 404 NoSuchKey while an object does not exist, but 403 AccessDenied to callers that may
not list the bucket. It names the region of a bucket when asked in another. Three faults are
repaired once and at once: the region, the clock, and expired credentials; what repairs them is
learned from responses to signed requests only. Failures that may pass (no connection, 5xx,
SlowDown) count as "not there yet" until `MAX_FAILURES` of them happen in a row.
"""

from __future__ import annotations

import re
from typing import Final

from ..config._endpoints import PARTITIONS, Config, partition
from ..effects import Flow, GetCredentials, Measure, Send, Sleep
from ..errors import ConstructionError, DispatchFailure, ServiceError
from ..metadata import Metadata
from ..signing import S3, hash_payload, sign
from ..values._bodies import STREAMED, Source
from ..values._credentials import Credentials, Scope
from ..values._http import Headers, Request, Response
from ._clock_skew import ClockSkew
from ._deadline import Clock, Deadline
from ._locations import Location, locate
from ._retries import RetryPolicy
from ._signed_request import SignedRequest

MAX_FAILURES: Final = 5
MAX_MESSAGE: Final = 4096  # characters of an error's message
_ABSENT: Final = ("NoSuchKey", "404")
_EXPIRED: Final = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
_FIRST_BYTE: Final = ("range", "bytes=0-0")
_EMPTY_OBJECT: Final = 416  # there is no first byte


class ObjectRequests:
    """Requests for single objects; the region of the bucket, once learned, is remembered."""

    def __init__(
        self, config: Config, clock: Clock, skew: ClockSkew, *, max_body: int | None = None
    ) -> None:
        self._config = config
        self._clock = clock
        self._skew = skew
        self._max_body = max_body
        self._region: str = config.region

    def _exchange(
        self, location: str, unsigned: Request, deadline: Deadline, accepted: tuple[int, ...]
    ) -> Flow[Response]:
        """Send `unsigned` for the object at `location`; raise `ServiceError` for another status."""
        credentials: Credentials | None = None
        repaired: set[str] = set()
        while True:
            found = locate(location, self._config, self._region)
            if found.access == "signed" and credentials is None:
                credentials = yield from GetCredentials(deadline.left())
            signed = self._sign(unsigned.replace(url=found.url), credentials)
            response = yield from self._send(signed, found, deadline)
            if response.status in accepted:
                return response
            refusal = _refusal(response)
            cause = None
            if found.access == "signed":
                cause = self._repair(refusal, signed.signed_at)
            if cause is None or cause in repaired:
                raise refusal
            repaired.add(cause)
            if cause == "credentials":
                credentials = yield from GetCredentials(deadline.left(), credentials)

    def _sign(self, unsigned: Request, credentials: Credentials | None) -> SignedRequest:
        payload_hash, scope = hash_payload(unsigned.body), Scope(self._region, "s3")

        def sign_at(moment: float) -> Request:
            now = moment + self._skew.seconds
            signature = sign(
                unsigned, credentials, scope, now=now, payload_hash=payload_hash, dialect=S3
            )
            return unsigned.replace(headers=(*unsigned.headers, *signature.headers))

        return SignedRequest(self._clock, sign_at)

    def _send(self, signed: SignedRequest, found: Location, deadline: Deadline) -> Flow[Response]:
        return (
            yield from Send(
                signed.request,
                deadline.left(),
                self._config.timeouts,
                max_body=self._max_body,
                public=found.access == "public",
                renew=signed.renew,
            )
        )

    def _repair(self, refusal: ServiceError, signed_at: float) -> str | None:
        """Return what was wrong with a signed request and is right for the next one."""
        headers = {name.lower(): value for name, value in refusal.metadata.headers}
        region = headers.get("x-amz-bucket-region", self._region)
        if region != self._region and _in_same_partition(region, self._config.region):
            self._region = region
            return "region"
        if self._skew.learn(refusal, signed_at, self._clock.time()):
            return "clock"
        return "credentials" if refusal.code in _EXPIRED else None


class ObjectReader(ObjectRequests):
    """Reads the objects that one caller waits for."""

    _failures = 0

    def get(self, location: str, deadline: Deadline) -> Flow[bytes | None]:
        """Return the object at `location` (an s3:// or http(s) URL), None if there is none yet.

        Raises `ConstructionError` for a location that must not be followed, `ServiceError` with
        S3's code, `DispatchFailure` if S3 cannot be reached, `CredentialsError`.
        """
        try:
            response = yield from self._exchange(location, Request("GET", ""), deadline, (200,))
        except (DispatchFailure, ServiceError) as failure:
            if not _is_absent(failure):
                self._failures += 1
                exhausted = self._failures >= MAX_FAILURES or deadline.passed_in(0.0)
                if exhausted or not _may_pass(failure):
                    raise
                return None
            self._failures = 0
            return None
        self._failures = 0
        return response.body

    def exists(self, location: str, deadline: Deadline) -> Flow[bool]:
        """Return whether there is an object at `location`; at most its first byte is received.

        Raises like `get`, and at the first failure.
        """
        first_byte = Request("GET", "", (_FIRST_BYTE,))
        try:
            yield from self._exchange(location, first_byte, deadline, (200, 206, _EMPTY_OBJECT))
        except ServiceError as failure:
            if _is_absent(failure):
                return False
            raise
        return True


class ObjectWriter(ObjectRequests):
    """Puts objects into S3 with the caller's credentials."""

    def put(
        self,
        location: str,
        body: object,
        deadline: Deadline,
        *,
        content_type: str | None = None,
        retries: RetryPolicy = RetryPolicy(),
    ) -> Flow[str]:
        """Put `body` (bytes, a file or an iterator of bytes) at `location`, and return that.

        The location must be one that requests are signed for. Sending it again is harmless, so any
        failure that may pass is retried as `retries` says. Raises like `ObjectReader.get`.
        """
        if locate(location, self._config, self._region).access != "signed":
            raise ConstructionError("location", "s3://bucket/key, or the URL of an object in S3")
        content: object = STREAMED.check("body", body)
        headers: Headers = () if content_type is None else (("content-type", content_type),)
        if isinstance(content, Source):
            content = yield from Measure(content)
        unsigned = Request("PUT", "", headers).with_body(content)
        policy, attempt = retries.replace(resend=True), 0
        while True:
            attempt += 1
            try:
                yield from self._exchange(location, unsigned, deadline, (200,))
            except (DispatchFailure, ServiceError) as failure:
                retry = policy.plan(attempt, failure, policy.capacity, 1.0)
                if retry is None or deadline.passed_in(retry.delay):
                    raise
                yield from Sleep(retry.delay)
            else:
                return location


def _in_same_partition(region: str, known: str) -> bool:
    """Return whether `region` is one of the partition of `known`."""
    name = partition(known)[0]
    pattern = next(pattern for found, pattern, *_ in PARTITIONS if found == name)
    return re.fullmatch(pattern, region, re.ASCII) is not None


def _is_absent(failure: DispatchFailure | ServiceError) -> bool:
    return isinstance(failure, ServiceError) and failure.code in _ABSENT


def _may_pass(failure: DispatchFailure | ServiceError) -> bool:
    return failure.retryable if isinstance(failure, ServiceError) else failure.kind != "tls"


def _refusal(response: Response) -> ServiceError:
    """Return the error in a response of S3: an XML document, or the status alone."""
    text = response.body[: 64 * 1024].decode("utf-8", "replace")
    code, message = (re.search(rf"<{name}>([^<]*)</{name}>", text) for name in ("Code", "Message"))
    request_id = next(
        (value for name, value in response.headers if name.lower() == "x-amz-request-id"), None
    )
    return ServiceError(
        message[1][:MAX_MESSAGE] if message else "",
        code=code[1][:MAX_MESSAGE] if code else None,
        status=response.status,
        body=response.body,
        truncated=response.truncated,
        metadata=Metadata(request_id, response.status, response.headers),
    )
