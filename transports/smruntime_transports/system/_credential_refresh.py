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

The thread or task only leaves the outcome in the `CredentialRefresh`; the next caller records it in
the cache. A signal handler may raise an exception in a caller at any time: a refresh that does not
run then is finished without an outcome, and callers that waited for it start another.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar, cast

from smruntime_core import Credentials, CredentialsError, SmRuntimeError
from smruntime_core.conversation import Deadline
from smruntime_core.credentials import Cache, ProviderContext, fetch_credentials
from smruntime_core.effects import Effect, Flow, GetCredentials

from ..nonblocking._waiting import Latch, Spawn

if TYPE_CHECKING:
    from smruntime_core.credentials import ProviderLike

ResultT = TypeVar("ResultT")


class CredentialRefresh(Latch):
    """A refresh that is running, which opens at its end.

    `owner` is the process or the event loop that runs it; other owners ignore it.
    """

    def __init__(self, owner: object) -> None:
        super().__init__()
        self.owner: object = owner
        self.outcome: object = None  # credentials, an error, or None if the flow was cut off
        self.error: SmRuntimeError | None = None  # known when the outcome is recorded

    def finish(self, outcome: object) -> None:
        """Wake the callers. Only the first outcome counts."""
        if not self.opened:
            self.outcome = outcome
        self.open()


class CredentialRefresher:
    """The cached credentials of one client, and the refresh that is running, if there is one."""

    def __init__(self, provider: ProviderLike | None, provider_context: ProviderContext) -> None:
        self.cache: Cache = Cache(provider_context.clock.time, provider_context.random)
        self._provider = provider
        self._provider_context = provider_context
        self._running_refresh: CredentialRefresh | None = None
        self._refresh_lock = threading.RLock()  # a signal handler may make a call

    def at_hand(self, effect: GetCredentials) -> Credentials | None:
        """Return credentials that need no refresh, if there are any."""
        return self.cache.at_hand() if effect.rejected is None else None

    def fetch(self, effect: GetCredentials, owner: object) -> Flow[Credentials]:
        """Return credentials, after a refresh if need be; raises `CredentialsError`.

        If the refresh is cut off, as by an interrupt of another caller, start one more.
        """
        deadline = Deadline(self._provider_context.clock, effect.timeout)
        joined_refresh, must_wait = yield from self._join_refresh(effect.rejected, owner)
        if must_wait and (yield from self._wait_for(joined_refresh, deadline)) is None:
            joined_refresh, must_wait = yield from self._join_refresh(effect.rejected, owner)
            if must_wait:
                yield from self._wait_for(joined_refresh, deadline)
        return self._fetched_credentials(joined_refresh)

    def _wait_for(self, joined_refresh: CredentialRefresh, deadline: Deadline) -> Flow[object]:
        """Return the outcome of a refresh; raises `CredentialsError` if it takes too long."""
        allowed_seconds = deadline.left()
        is_finished = yield from joined_refresh.wait_open(allowed_seconds)
        if not is_finished:
            late_message = f"no credentials within {allowed_seconds or 0.0:.3g} s"
            raise CredentialsError(f"{late_message}: they are still being fetched")
        self._record_outcome(joined_refresh)
        return joined_refresh.outcome

    def _join_refresh(
        self, rejected: Credentials | None, owner: object
    ) -> Flow[tuple[CredentialRefresh, bool]]:
        """Return the running refresh, started here if need be, and whether to wait for it."""
        new_refresh = CredentialRefresh(owner)
        try:
            with self._refresh_lock:
                credential_cache, running_refresh = self.cache, self._running_refresh
                if running_refresh is not None and running_refresh.opened:
                    self._record_outcome(running_refresh)
                    running_refresh = None
                if running_refresh is None or running_refresh.owner != owner:
                    credential_cache.abandoned()
                    running_refresh = None
                cache_advice = credential_cache.advise(rejected)
                must_wait = cache_advice == "wait"
                if running_refresh is not None or cache_advice == "use":
                    return running_refresh or new_refresh, must_wait
                credential_cache.begin()
                self._running_refresh = new_refresh
            yield from self._start(new_refresh)
        except BaseException:  # an interrupt: no caller may wait for what does not run
            new_refresh.finish(None)
            raise
        return new_refresh, must_wait

    def _start(self, new_refresh: CredentialRefresh) -> Flow[None]:
        """Take the first step of the provider's flow, and spawn the rest if there is one."""
        provider_flow = fetch_credentials(self._provider, self._provider_context.anew())
        try:
            first_effect = provider_flow.send(None)
        except StopIteration as end:
            new_refresh.finish(end.value)
        except SmRuntimeError as refresh_error:
            new_refresh.finish(refresh_error)
        else:
            yield from Spawn(_remaining_flow(provider_flow, first_effect), new_refresh.finish)

    def _fetched_credentials(self, joined_refresh: CredentialRefresh) -> Credentials:
        """Return valid credentials; raises the refresh's error as a `CredentialsError`."""
        credentials = self.cache.valid()
        if credentials is not None:
            return credentials
        refresh_error = joined_refresh.error
        if refresh_error is None:
            interruption_message = "fetching credentials was interrupted, or they have just expired"
            raise CredentialsError(f"{interruption_message}: call again")
        tried_sources = refresh_error.tried if isinstance(refresh_error, CredentialsError) else ()
        # a copy for each caller, since several may raise it at once
        raise CredentialsError(str(refresh_error), tried=tried_sources) from refresh_error

    def _record_outcome(self, finished_refresh: CredentialRefresh) -> None:
        """Record the outcome in the cache, once."""
        with self._refresh_lock:
            if self._running_refresh is finished_refresh:
                finished_refresh.error = self._update_cache(finished_refresh.outcome)
                self._running_refresh = None

    def _update_cache(self, outcome: object) -> SmRuntimeError | None:
        credential_cache = self.cache
        if outcome is None:
            credential_cache.abandoned()
            return None
        if isinstance(outcome, Credentials):
            try:
                credential_cache.done(outcome)
                return None
            except CredentialsError as refresh_error:
                return refresh_error
            except TypeError as refresh_error:  # `expires_at` is not a number
                outcome = refresh_error
        credential_cache.failed()
        if isinstance(outcome, SmRuntimeError):
            return outcome
        error_name = type(outcome).__name__
        wrapped_error = CredentialsError(f"the credentials provider raised {error_name}")
        wrapped_error.__cause__ = outcome if isinstance(outcome, BaseException) else None
        return wrapped_error


def _remaining_flow(provider_flow: Flow[ResultT], effect: Effect[object]) -> Flow[ResultT]:
    """Return a flow that continues `provider_flow`, which has asked for `effect` already."""
    try:
        while True:
            try:
                effect = provider_flow.send((yield effect))
            except StopIteration as end:
                return cast("ResultT", end.value)
    finally:
        provider_flow.close()
