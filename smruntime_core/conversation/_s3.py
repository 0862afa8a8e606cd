"""Read and write single objects of S3: the inputs and answers of asynchronous invocations.

`_locations` decides which URL a location means and whether the request is signed.

S3 answers 404 NoSuchKey while an object does not exist, but 403 AccessDenied to callers that may
not list the bucket. It answers a request in the wrong region with the region of the bucket. Three
faults are repaired once each, without a pause: the region, the clock, and expired credentials. The
repairs rely on responses to signed requests only. Failures that may pass (no connection, 5xx,
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
from ..values._http import Headers, Request, Response, fields_by_name
from ._async_jobs import StoredObject
from ._clock_skew import ClockSkew
from ._deadline import Clock, Deadline
from ._locations import Location, locate
from ._retries import RetryPolicy, limit_pause
from ._signed_request import SignedRequest

MAX_FAILURES: Final = 5
MAX_MESSAGE: Final = 4096  # characters of an error's message
_ABSENT_CODES: Final = ("NoSuchKey", "404")
_EXPIRED_CODES: Final = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
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

    def _exchange_object(
        self,
        location: str,
        unsigned_request: Request,
        deadline: Deadline,
        accepted_statuses: tuple[int, ...],
    ) -> Flow[Response]:
        """Return the response about the object at `location`, after repairs if need be.

        Raises `ServiceError` for a status that is not one of `accepted_statuses`.
        """
        credentials: Credentials | None = None
        repaired: set[str] = set()
        while True:
            found_location = locate(location, self._config, self._region)
            is_signed = found_location.access == "signed"
            if is_signed and credentials is None:
                credentials = yield from GetCredentials(deadline.left())
            signed_request = self._sign_request(
                unsigned_request.replace(url=found_location.url), credentials if is_signed else None
            )
            response = yield from self._send_signed(signed_request, found_location, deadline)
            if response.status in accepted_statuses:
                return response
            refusal, repair_cause = _service_error(response), None
            if is_signed:
                repair_cause = self._repair_request(refusal, location, signed_request)
            if repair_cause is None or repair_cause in repaired:
                raise refusal
            repaired.add(repair_cause)
            if repair_cause == "credentials":
                credentials = yield from GetCredentials(deadline.left(), credentials)

    def _sign_request(
        self, unsigned_request: Request, credentials: Credentials | None
    ) -> SignedRequest:
        payload_hash, signing_scope = hash_payload(unsigned_request.body), Scope(self._region, "s3")

        def sign_at(signing_time: float) -> Request:
            signature = sign(
                unsigned_request,
                credentials,
                signing_scope,
                now=signing_time,
                payload_hash=payload_hash,
                dialect=S3,
            )
            return unsigned_request.replace(headers=(*unsigned_request.headers, *signature.headers))

        return SignedRequest(self._clock, self._skew, sign_at)

    def _send_signed(
        self, signed_request: SignedRequest, found_location: Location, deadline: Deadline
    ) -> Flow[Response]:
        return (
            yield from Send(
                signed_request.request,
                deadline.left(),
                self._config.timeouts,
                max_body=self._max_body,
                public=found_location.access == "public",
                renew=signed_request.renew,
            )
        )

    def _repair_request(
        self, refusal: ServiceError, location: str, signed_request: SignedRequest
    ) -> str | None:
        """Repair a wrong region or clock, or expired credentials; return which, or None."""
        region = fields_by_name(refusal.metadata.headers).get("x-amz-bucket-region", self._region)
        named_by_url = not location.startswith("s3://")
        known_region = self._config.region
        if region != self._region and not named_by_url and _in_same_partition(region, known_region):
            self._region = region
            return "region"
        if self._skew.learn(
            refusal, signed_request.signed_at, self._clock.time(), signed_request.correction
        ):
            return "clock"
        return "credentials" if refusal.code in _EXPIRED_CODES else None


class ObjectReader(ObjectRequests):
    """Reads the objects that one caller waits for."""

    _failure_count = 0

    def get(self, location: str, deadline: Deadline) -> Flow[StoredObject | None]:
        """Return the object at `location` (an s3:// or http(s) URL), None if there is none yet.

        Raises `ConstructionError` for a location that must not be followed, `ServiceError` with
        S3's code, `DispatchFailure` if S3 cannot be reached, `CredentialsError`.
        """
        try:
            response = yield from self._exchange_object(
                location, Request("GET", ""), deadline, (200,)
            )
        except (DispatchFailure, ServiceError) as failure:
            if not _is_absent_object(failure):
                self._failure_count += 1
                is_exhausted = self._failure_count >= MAX_FAILURES or deadline.passed_in(0.0)
                if is_exhausted or not _is_transient(failure):
                    raise
                return None
            self._failure_count = 0
            return None
        self._failure_count = 0
        return StoredObject(response.body, response.named.get("content-type"))

    def exists(self, location: str, deadline: Deadline) -> Flow[bool]:
        """Return whether there is an object at `location`; at most its first byte is received.

        Raises like `get`, and at the first failure.
        """
        first_byte = Request("GET", "", (_FIRST_BYTE,))
        try:
            yield from self._exchange_object(
                location, first_byte, deadline, (200, 206, _EMPTY_OBJECT)
            )
        except ServiceError as failure:
            if _is_absent_object(failure):
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
        longest_pause: float | None = None,
    ) -> Flow[str]:
        """Put `body` (bytes, a file or an iterator of bytes) at `location`, and return `location`.

        The location must be one that requests are signed for. A second put does no harm, so any
        failure that may pass is retried as `retries` says, after at most `longest_pause` seconds.
        Raises like `ObjectReader.get`.
        """
        if locate(location, self._config, self._region).access != "signed":
            raise ConstructionError("location", "s3://bucket/key, or the URL of an object in S3")
        upload_body: object = STREAMED.check("body", body)
        headers: Headers = () if content_type is None else (("content-type", content_type),)
        if isinstance(upload_body, Source):
            upload_body = yield from Measure(upload_body)
        unsigned_request = Request("PUT", "", headers).with_body(upload_body)
        retry_policy, attempt_number = retries.replace(resend=True), 0
        while True:
            attempt_number += 1
            try:
                yield from self._exchange_object(location, unsigned_request, deadline, (200,))
            except (DispatchFailure, ServiceError) as failure:
                planned_retry = retry_policy.plan(
                    attempt_number,
                    failure,
                    retry_policy.capacity,
                    1.0,  # no jitter: there is one writer
                )
                if planned_retry is None:
                    raise
                delay = limit_pause(planned_retry.delay, longest_pause)
                if deadline.passed_in(delay):
                    raise
                yield from Sleep(delay)
            else:
                return location


def _in_same_partition(region: str, known_region: str) -> bool:
    """Return whether `region` belongs to the partition of `known_region`."""
    partition_name = partition(known_region)[0]
    region_pattern = next(
        region_pattern
        for found_name, region_pattern, *_ in PARTITIONS
        if found_name == partition_name
    )
    return re.fullmatch(region_pattern, region, re.ASCII) is not None


def _is_absent_object(failure: DispatchFailure | ServiceError) -> bool:
    return isinstance(failure, ServiceError) and failure.code in _ABSENT_CODES


def _is_transient(failure: DispatchFailure | ServiceError) -> bool:
    if isinstance(failure, ServiceError):
        return failure.retryable
    return failure.kind not in ("tls", "protocol", "too_large")


def _service_error(response: Response) -> ServiceError:
    """Return the error in a response of S3: an XML document, or the status alone."""
    error_document = response.body[: 64 * 1024].decode("utf-8", "replace")
    error_code, error_message = (
        re.search(rf"<{element_name}>([^<]*)</{element_name}>", error_document)
        for element_name in ("Code", "Message")
    )
    return ServiceError(
        error_message[1][:MAX_MESSAGE] if error_message else "",
        code=error_code[1][:MAX_MESSAGE] if error_code else None,
        status=response.status,
        body=response.body,
        truncated=response.truncated,
        metadata=Metadata(
            response.named.get("x-amz-request-id"), response.status, response.headers
        ),
    )
