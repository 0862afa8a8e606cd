"""The conversation: credentials, sign, send, perhaps wait and again, written once for every kind of I/O.

Its state is the program counter, so an illegal order cannot be written, and a test reads like the protocol:

    >>> import smruntime_core as sm
    >>> class Noon: time = monotonic = staticmethod(lambda: 1.8e9)
    >>> runtime = sm.Runtime(sm.Config(region="eu-west-1"), clock=Noon, random=lambda: 1.0)
    >>> flow = runtime.call(sm.InvokeEndpoint(endpoint_name="churn", body=b"1,2,3"))
    >>> flow.send(None)
    GetCredentials()
    >>> flow.send(sm.Credentials("AKID", "secret")).request
    Request(POST https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/churn/invocations, <2 headers>, <5 bytes>)
    >>> flow.send(sm.Response(503))
    Sleep(seconds=0.05)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias, TypeVar, cast

from ._bindings import Output
from ._effects import Flow, GetCredentials, Open, Receive, Send, Sleep
from ._endpoints import Config
from ._errors import DispatchFailure, ResponseError, ServiceError, SmRuntimeError
from ._metadata import Attempt, Metadata
from ._model import Request, Response, ResponseBody, Timeouts
from ._operations import Operation, Streaming
from ._parser import MAX_ERROR_BODY, ResponseParser
from ._patience import Clock, Deadline
from ._retries import NoLock, RetryPolicy, TokenBucket, died_while_kept
from ._stream import Stream, started
from .signing import hash_payload, sign


class Told(Protocol):
    """What an exchange comes to says something of itself."""

    @property
    def metadata(self) -> Metadata: ...


T = TypeVar("T", bound=Told)
OutputT = TypeVar("OutputT", bound=Output)
Exchange: TypeAlias = Callable[[Request, Deadline, bool], Flow[T]]

FIRST_TRY_REWARD = 1


class Runtime:
    """One service as one client sees it: where it is, how to sign for it, how patient to be.

    Time and chance are handed in: `clock` (the module `time` will do) and `random` (a number in [0, 1) at each call).
    Calls that run in parallel threads share it safely if `lock` is a `threading.Lock()`. Raises `ConstructionError`
    if `config` contradicts itself.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock,
        random: Callable[[], float],
        retries: RetryPolicy = RetryPolicy(),
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self.config = config
        self.retries = retries
        self.tokens = TokenBucket(retries.capacity, lock or NoLock())
        self._url = config.url
        self._scope = config.scope
        self._clock = clock
        self._random = random

    def call(self, operation: Operation[OutputT]) -> Flow[OutputT]:
        """The flow of one call: it returns the output, or raises what the last attempt came to.

        Outputs and errors list every attempt in `metadata.attempts`. Nothing is waited for past `timeouts.total`.
        """

        def exchange(request: Request, deadline: Deadline, fresh: bool) -> Flow[OutputT]:
            response = yield from Send(request, deadline.left(), self.config.timeouts, fresh)
            return operation.parse(response)

        output, attempts = yield from self._attempts(operation, exchange)
        return output.but(metadata=output.metadata.but(attempts=attempts))

    def stream(self, operation: Streaming[OutputT]) -> Flow[Stream[OutputT]]:
        """The flow of one call up to the head of its answer: it returns what is still to come, or raises like `call`.

        Once the answer has begun, nothing is tried again.
        """

        def exchange(request: Request, deadline: Deadline, fresh: bool) -> Flow[Stream[OutputT]]:
            timeouts = self.config.timeouts
            opened = yield from Open(request, deadline.left(), timeouts, fresh)
            parser = ResponseParser(operation)
            try:
                parser.receive_head(Response(opened.status, opened.headers))
                if not 200 <= opened.status < 300:
                    yield from _read_error(parser, opened.body, deadline, timeouts)
                head = started(parser)
            except BaseException:
                opened.body.abort()
                raise
            return Stream(cast("OutputT", head.output), opened.body, parser, deadline, timeouts)

        stream, attempts = yield from self._attempts(operation, exchange)
        stream.output = stream.output.but(metadata=stream.output.metadata.but(attempts=attempts))
        return stream

    def _attempts(self, operation: Operation[Output], exchange: Exchange[T]) -> Flow[tuple[T, tuple[Attempt, ...]]]:
        """Sign and exchange until it succeeds or is given up; the result and every attempt that was made."""
        request = operation.request(self._url)
        payload_hash = hash_payload(request.body)
        deadline = Deadline(self._clock, self.config.timeouts.total)
        attempts: tuple[Attempt, ...] = ()
        retries = 0
        waited = spent = 0.0
        fresh = False
        while True:
            credentials = yield from GetCredentials(deadline.left())
            signed = sign(request, credentials, self._scope, now=self._clock.time(), payload_hash=payload_hash)
            begun = self._clock.monotonic()
            failure: SmRuntimeError
            try:
                ready = Request(request.method, request.url, request.headers + signed.headers, request.body)
                result = yield from exchange(ready, deadline, fresh)
            except (DispatchFailure, ServiceError, ResponseError) as error:
                failure = error
            else:
                self.tokens.give(spent or FIRST_TRY_REWARD)
                attempts += (_attempt("ok", result.metadata, self._clock.monotonic() - begun, waited),)
                return result, attempts

            if isinstance(failure, DispatchFailure):
                failure.metadata = Metadata(status=failure.status)
            attempts += (_attempt(_outcome(failure), failure.metadata, self._clock.monotonic() - begun, waited),)
            failure.metadata = failure.metadata.but(attempts=attempts)
            may_have_arrived = not (isinstance(failure, DispatchFailure) and failure.delivery == "not_sent")
            if operation.once and may_have_arrived:
                raise failure
            if died_while_kept(failure) and not fresh:
                fresh = True
                waited = 0.0
                continue
            retries += 1
            if retries >= self.retries.max_attempts or not self.retries.retryable(failure):
                raise failure
            waited = self.retries.delay(retries, failure, self._random())
            spent = self.retries.cost(failure)
            if deadline.passed_in(waited) or not self.tokens.take(spent):
                raise failure
            yield from Sleep(waited)


def _read_error(parser: ResponseParser, body: ResponseBody, deadline: Deadline, phases: Timeouts) -> Flow[None]:
    """The body of an error, as far as it comes and is not too long; what is cut still makes an error."""
    received, truncated = 0, False
    while received <= MAX_ERROR_BODY:
        try:
            data = yield from Receive(body, deadline.left(), phases)
        except DispatchFailure:
            truncated = True
            break
        if not data:
            break
        received += len(data)
        parser.receive_data(data)
    parser.receive_eof(truncated=truncated)


def _outcome(failure: SmRuntimeError) -> str:
    """One word for what an attempt came to."""
    if isinstance(failure, ServiceError):
        return failure.code
    return failure.kind if isinstance(failure, DispatchFailure) else type(failure).__name__


def _attempt(outcome: str, metadata: Metadata, seconds: float, waited: float) -> Attempt:
    return Attempt(outcome, seconds, waited, metadata.status, metadata.request_id)
