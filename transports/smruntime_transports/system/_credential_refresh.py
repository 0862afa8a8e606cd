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

ResultT = TypeVar("ResultT")


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

    def __init__(self, provider: ProviderLike | None, provider_context: ProviderContext) -> None:
        self.cache: Cache = Cache(provider_context.clock.time, provider_context.random)
        self._provider = provider
        self._provider_context = provider_context
        self._running_refresh: CredentialRefresh | None = None
        self._refresh_lock = threading.Lock()

    def fetch(self, effect: GetCredentials, owner: object) -> Flow[Credentials]:
        """Return credentials, after a refresh if need be; raises `CredentialsError`."""
        running_refresh, provider_flow, must_wait = self._join_refresh(effect.rejected, owner)
        if running_refresh is not None and provider_flow is not None:
            yield from Spawn(provider_flow, partial(self._finish_refresh, running_refresh))
        if running_refresh is not None and must_wait:
            ticket = running_refresh.join()
            yield from WaitTurn(ticket, effect.timeout)
            if not ticket.called:
                late_message = f"no credentials within {effect.timeout or 0.0:.3g} s"
                raise CredentialsError(f"{late_message}: they are still being fetched")
        return self._fetched_credentials(running_refresh)

    def _join_refresh(
        self, rejected: Credentials | None, owner: object
    ) -> tuple[CredentialRefresh | None, Flow[Credentials] | None, bool]:
        """Return the running refresh, its flow if the caller must start it, and whether to wait."""
        with self._refresh_lock:
            credential_cache, running_refresh = self.cache, self._running_refresh
            if running_refresh is not None and running_refresh.owner != owner:
                credential_cache.abandoned()
            cache_advice = credential_cache.advise(rejected)
            if cache_advice == "use":
                return None, None, False
            provider_flow = None
            if credential_cache.begin():
                self._running_refresh = running_refresh = CredentialRefresh(owner)
                provider_flow = fetch_credentials(self._provider, self._provider_context.anew())
        if provider_flow is not None and running_refresh is not None:
            provider_flow = self._run_first_step(provider_flow, running_refresh)
        return running_refresh, provider_flow, cache_advice == "wait"

    def _finish_refresh(self, running_refresh: CredentialRefresh, outcome: object) -> None:
        """Record credentials, an error, or None if the flow was cut off; wake the callers."""
        with self._refresh_lock:
            if self._running_refresh is running_refresh:
                self._running_refresh = None
                running_refresh.error = self._record_outcome(outcome)
        running_refresh.open()

    def _fetched_credentials(self, running_refresh: CredentialRefresh | None) -> Credentials:
        """Return valid credentials; raises the refresh's error as a `CredentialsError`."""
        credentials = self.cache.valid()
        if credentials is not None:
            return credentials
        refresh_error = running_refresh.error if running_refresh else None
        if refresh_error is None:
            interruption_message = "fetching credentials was interrupted, or they have just expired"
            raise CredentialsError(f"{interruption_message}: call again")
        tried_sources = refresh_error.tried if isinstance(refresh_error, CredentialsError) else ()
        # a copy for each caller, since several may raise it at once
        raise CredentialsError(str(refresh_error), tried=tried_sources) from refresh_error

    def _record_outcome(self, outcome: object) -> SmRuntimeError | None:
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
            except Exception as refresh_error:  # `expires_at` is not a number, for instance
                outcome = refresh_error
        credential_cache.failed()
        if isinstance(outcome, SmRuntimeError):
            return outcome
        error_name = type(outcome).__name__
        wrapped_error = CredentialsError(f"the credentials provider raised {error_name}")
        wrapped_error.__cause__ = outcome if isinstance(outcome, BaseException) else None
        return wrapped_error

    def _run_first_step(
        self, provider_flow: Flow[Credentials], running_refresh: CredentialRefresh
    ) -> Flow[Credentials] | None:
        """Return the rest of `provider_flow`, None if it ended with its first step."""
        try:
            effect = provider_flow.send(None)
        except StopIteration as end:
            self._finish_refresh(running_refresh, end.value)
        except Exception as refresh_error:
            self._finish_refresh(running_refresh, refresh_error)
        except BaseException:
            self._finish_refresh(running_refresh, None)
            raise
        else:
            return _remaining_flow(provider_flow, effect)
        return None


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
