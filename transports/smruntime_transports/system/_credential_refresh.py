"""Refresh the credentials of a client once for all callers.

A `Cache` of the core decides when they are to be refreshed. One refresh runs at a time, as a flow
of the provider's in a thread or task of its own: the caller that starts it may be cancelled or run
out of time, and the other callers still get its outcome.

    cached credentials    refresh               caller
    fresh                 none                  uses the cached ones
    getting old           started if need be    uses the cached ones
    too old, or none      started if need be    waits

A provider that needs no I/O (keys in the environment, or given) ends with the first step of its
flow, and no thread or task is started.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from smruntime_core import Credentials, CredentialsError, SmRuntimeError
from smruntime_core.credentials import Cache, ProviderContext, fetch_credentials
from smruntime_core.effects import Effect, Flow, GetCredentials

from ..nonblocking._waiting import Latch, Spawn, WaitTurn

if TYPE_CHECKING:
    from smruntime_core.credentials import ProviderLike

T = TypeVar("T")


class CredentialRefresh(Latch):
    """A refresh that is running, which opens at its end.

    `owner` is the process or the event loop that runs it; other owners ignore it.
    """

    def __init__(self, owner: object) -> None:
        super().__init__()
        self.owner: object = owner
        self.error: SmRuntimeError | None = None


class CredentialRefresher:
    """The cached credentials of one client, and the refresh that is running, if there is one."""

    def __init__(self, provider: ProviderLike | None, context: ProviderContext) -> None:
        self.cache: Cache = Cache(context.clock.time, context.random)
        self._provider = provider
        self._context = context
        self._refresh: CredentialRefresh | None = None
        self._lock = threading.Lock()

    def fetch(self, effect: GetCredentials, owner: object) -> Flow[Credentials]:
        """Return credentials, after a refresh if need be; raises `CredentialsError`."""
        refresh, flow, must_wait = self._join(effect.rejected, owner)
        if refresh is not None and flow is not None:
            yield from Spawn(flow, partial(self._finish, refresh))
        if refresh is not None and must_wait:
            ticket = refresh.join()
            yield from WaitTurn(ticket, effect.timeout)
            if not ticket.called:
                late = f"no credentials within {effect.timeout or 0.0:.3g} s"
                raise CredentialsError(f"{late}: they are still being fetched")
        return self._outcome(refresh)

    def _join(
        self, rejected: Credentials | None, owner: object
    ) -> tuple[CredentialRefresh | None, Flow[Credentials] | None, bool]:
        """Return the running refresh, its flow if the caller must start it, and whether to wait."""
        with self._lock:
            cache, refresh = self.cache, self._refresh
            if refresh is not None and refresh.owner != owner:
                cache.abandoned()
            advice = cache.advise(rejected)
            if advice == "use":
                return None, None, False
            flow = None
            if cache.begin():
                self._refresh = refresh = CredentialRefresh(owner)
                flow = fetch_credentials(self._provider, self._context.anew())
        if flow is not None and refresh is not None:
            flow = self._run_first_step(flow, refresh)
        return refresh, flow, advice == "wait"

    def _finish(self, refresh: CredentialRefresh, outcome: object) -> None:
        """Record credentials, an error, or None if the flow was cut off; wake the callers."""
        with self._lock:
            if self._refresh is refresh:
                self._refresh = None
                refresh.error = self._record(outcome)
        refresh.open()

    def _outcome(self, refresh: CredentialRefresh | None) -> Credentials:
        """Return valid credentials, or raise the error of `refresh` as a `CredentialsError`."""
        credentials = self.cache.valid()
        if credentials is not None:
            return credentials
        error = refresh.error if refresh else None
        if error is None:
            interrupted = "fetching credentials was interrupted, or they have just expired"
            raise CredentialsError(f"{interrupted}: call again")
        tried = error.tried if isinstance(error, CredentialsError) else ()
        # a copy for each caller, since several may raise it at once
        raise CredentialsError(str(error), tried=tried) from error

    def _record(self, outcome: object) -> SmRuntimeError | None:
        cache = self.cache
        if outcome is None:
            cache.abandoned()
            return None
        if isinstance(outcome, Credentials):
            try:
                cache.done(outcome)
                return None
            except CredentialsError as error:
                return error
            except Exception as error:  # `expires_at` is not a number, for instance
                outcome = error
        cache.failed()
        if isinstance(outcome, SmRuntimeError):
            return outcome
        wrapped = CredentialsError(f"the credentials provider raised {type(outcome).__name__}")
        wrapped.__cause__ = outcome if isinstance(outcome, BaseException) else None
        return wrapped

    def _run_first_step(
        self, flow: Flow[Credentials], refresh: CredentialRefresh
    ) -> Flow[Credentials] | None:
        """Return the rest of `flow`, None if it ended with its first step."""
        try:
            effect = flow.send(None)
        except StopIteration as end:
            self._finish(refresh, end.value)
        except Exception as error:
            self._finish(refresh, error)
        except BaseException:
            self._finish(refresh, None)
            raise
        else:
            return _rest_of(flow, effect)
        return None


def _rest_of(flow: Flow[T], effect: Effect[object]) -> Flow[T]:
    """Return a flow that yields `effect`, which `flow` has asked for already, and continues it."""
    try:
        while True:
            try:
                effect = flow.send((yield effect))
            except StopIteration as end:
                return cast("T", end.value)
    finally:
        flow.close()
