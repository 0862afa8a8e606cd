"""Refreshing credentials once for all callers that need them.

A `Cache` knows when credentials are to be refreshed. A refresh is a flow of the provider's. It runs
in a thread or task of its own, so the caller that began it may be cancelled or run out of time, and
the others still get the outcome:

    caller ──> begin ──> Spawn ──> thread or task ──> finish(outcome) ──> wakes the callers
                                                                              │
    caller: the cache takes the outcome up, under the lock  <─────────────────┘

A source that needs nothing from outside (given keys, the environment) is asked in the caller itself,
and nothing is spawned. An exception of a signal handler may come at any point: a refresh that does
not run is finished without an outcome, and its callers begin another.
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

T = TypeVar("T")


class CredentialRefresh(Latch):
    """One refresh, which opens when it is finished.

    `home` is the process or loop where it runs: one that was begun elsewhere is not waited for.
    """

    def __init__(self, home: object) -> None:
        super().__init__()
        self.home: object = home
        self.outcome: object = None  # credentials, an error, or None if it was cut off
        self.error: SmRuntimeError | None = None  # once the cache has taken the outcome up

    def finish(self, outcome: object) -> None:
        """Wake the callers. Only the first outcome counts."""
        if not self.opened:
            self.outcome = outcome
        self.open()


class CredentialRefresher:
    """The credentials of one client, and the refresh in flight if there is one."""

    def __init__(self, provider: ProviderLike | None, context: ProviderContext) -> None:
        self.cache: Cache = Cache(context.clock.time, context.random)
        self._provider = provider
        self._context = context
        self._in_flight: CredentialRefresh | None = None
        self._lock = threading.RLock()  # a signal handler may make a call

    def fetch(self, effect: GetCredentials, home: object) -> Flow[Credentials]:
        """Return credentials after a refresh, this caller's or another's; raises `CredentialsError`.

        If the refresh is cut off, as by an interrupt of its caller, begin another, once.
        """
        deadline = Deadline(self._context.clock, effect.timeout)
        for _ in range(2):
            joined, must_wait = yield from self._join(effect.rejected, home)
            if joined is not None and must_wait:
                is_finished = yield from joined.wait_open(deadline.left())
                if not is_finished:
                    waited = f"no credentials within {effect.timeout or 0.0:.3g} s"
                    raise CredentialsError(f"{waited}: they are still being fetched")
                self._take_up_outcome(joined)
            if joined is None or joined.outcome is not None or not must_wait:
                break
        return self._valid_credentials(joined)

    def _join(
        self, rejected: Credentials | None, home: object
    ) -> Flow[tuple[CredentialRefresh | None, bool]]:
        """Return the refresh in flight, begun here if needed, and whether to wait for it."""
        refresh = CredentialRefresh(home)
        try:
            with self._lock:
                cache, in_flight = self.cache, self._in_flight
                if in_flight is not None and in_flight.opened:
                    self._take_up_outcome(in_flight)
                    in_flight = None
                if in_flight is None or in_flight.home != home:
                    cache.abandoned()
                advice = cache.advise(rejected)
                if advice == "use":
                    return None, False
                if not cache.begin():
                    return in_flight, advice == "wait"
                self._in_flight = refresh
            yield from self._run(refresh)
        except BaseException:  # an interrupt: no caller may wait for what does not run
            refresh.finish(None)
            raise
        return refresh, advice == "wait"

    def _run(self, refresh: CredentialRefresh) -> Flow[None]:
        """Take the first step of the provider's flow, and spawn what is left of it."""
        flow = fetch_credentials(self._provider, self._context.anew())
        try:
            first_effect = flow.send(None)
        except StopIteration as end:
            refresh.finish(end.value)
        except SmRuntimeError as error:
            refresh.finish(error)
        else:
            yield from Spawn(_resumed(first_effect, flow), refresh.finish)

    def _take_up_outcome(self, refresh: CredentialRefresh) -> None:
        """Have the cache take up the outcome of a refresh that is finished; once."""
        with self._lock:
            if self._in_flight is refresh:
                refresh.error = self._update_cache(refresh.outcome)
                self._in_flight = None

    def _update_cache(self, outcome: object) -> SmRuntimeError | None:
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
            except TypeError as error:  # an expiry that is no number
                outcome = error
        cache.failed()
        if isinstance(outcome, SmRuntimeError):
            return outcome
        wrapped = CredentialsError(f"the credentials provider raised {type(outcome).__name__}")
        wrapped.__cause__ = outcome if isinstance(outcome, BaseException) else None
        return wrapped

    def _valid_credentials(self, refresh: CredentialRefresh | None) -> Credentials:
        """Return what to sign with; raises `CredentialsError` with the error of `refresh`."""
        credentials = self.cache.valid()
        if credentials is not None:
            return credentials
        error = refresh.error if refresh else None
        if error is None:
            raise CredentialsError(
                "fetching credentials was interrupted, or they have just expired: call again"
            )
        tried = error.tried if isinstance(error, CredentialsError) else ()
        # a new one, since many callers may raise it at once
        raise CredentialsError(str(error), tried=tried) from error


def _resumed(effect: Effect[object], flow: Flow[T]) -> Flow[T]:
    """Return a flow that yields `effect`, which `flow` has yielded already, and goes on with `flow`."""
    try:
        while True:
            try:
                effect = flow.send((yield effect))
            except StopIteration as end:
                return cast("T", end.value)
    finally:
        flow.close()
