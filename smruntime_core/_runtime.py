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
from typing import Protocol, TypeVar

from ._bindings import Output
from ._effects import Flow, GetCredentials, Send, Sleep
from ._endpoints import Config
from ._errors import DispatchFailure, ResponseError, ServiceError, SmRuntimeError
from ._metadata import Attempt, Metadata
from ._model import Request
from ._operations import Operation
from ._retries import NoLock, RetryPolicy, TokenBucket, died_while_kept
from .signing import hash_payload, sign

OutputT = TypeVar("OutputT", bound=Output)

FIRST_TRY_REWARD = 1


class Clock(Protocol):
    """Two readings in seconds; the module `time` is one."""

    def time(self) -> float:
        """Since the epoch: what a signature says."""
        ...

    def monotonic(self) -> float:
        """Since any moment, never going back: what deadlines are measured by."""
        ...


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
                response = yield from Send(ready, deadline.left(), self.config.timeouts, fresh)
                output = operation.parse(response)
            except (DispatchFailure, ServiceError, ResponseError) as error:
                failure = error
            else:
                self.tokens.give(spent or FIRST_TRY_REWARD)
                attempts += (_attempt("ok", output.metadata, self._clock.monotonic() - begun, waited),)
                return output.but(metadata=output.metadata.but(attempts=attempts))

            if isinstance(failure, DispatchFailure):
                failure.metadata = Metadata(status=failure.status)
            attempts += (_attempt(_outcome(failure), failure.metadata, self._clock.monotonic() - begun, waited),)
            failure.metadata = failure.metadata.but(attempts=attempts)
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


class Deadline:
    """A moment after which nothing more is waited for, told in seconds left."""

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self._end = None if seconds is None else clock.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds until then, 0 if it has passed; None if there is no limit."""
        return None if self._end is None else max(0.0, self._end - self._clock.monotonic())

    def passed_in(self, seconds: float) -> bool:
        """It will have passed after that many more seconds."""
        return self._end is not None and self._clock.monotonic() + seconds >= self._end


def _outcome(failure: SmRuntimeError) -> str:
    """One word for what an attempt came to."""
    if isinstance(failure, ServiceError):
        return failure.code
    return failure.kind if isinstance(failure, DispatchFailure) else type(failure).__name__


def _attempt(outcome: str, metadata: Metadata, seconds: float, waited: float) -> Attempt:
    return Attempt(outcome, seconds, waited, metadata.status, metadata.request_id)
