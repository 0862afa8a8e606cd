"""Whose turn it is to renew credentials: the part of it that has no colour.

A `Cache` knows when they are to be renewed. A renewal is a flow of the provider's, run once for everybody, in a thread or a task of its
own: whoever began it may be cancelled or run out of time, and the others get what it came to. What needs nothing from outside (keys
in the environment, keys given) is over with the first step of its flow, and nothing is begun.
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
    """One renewal in flight, which opens at its end. `home` is where it runs, a process or a loop: one begun elsewhere is left alone."""

    def __init__(self, home: object) -> None:
        super().__init__()
        self.home = home
        self.error: SmRuntimeError | None = None


class CredentialRefresher:
    """The credentials of one client, and the renewal in flight if there is one."""

    def __init__(self, given: ProviderLike | None, world: ProviderContext) -> None:
        self.cache = Cache(world.clock.time, world.random)
        self._given = given
        self._world = world
        self._renewal: CredentialRefresh | None = None
        self._lock = threading.Lock()

    def fetch(self, effect: GetCredentials, home: object) -> Flow[Credentials]:
        """Credentials that are not simply there: renewed, or waited for while others have them renewed; raises `CredentialsError`."""
        renewal, flow, wait = self._join(effect.rejected, home)
        if renewal is not None and flow is not None:
            yield from Spawn(flow, partial(self._settle, renewal))
        if renewal is not None and wait:
            place = renewal.join()
            yield from WaitTurn(place, effect.timeout)
            if not place.called:
                raise CredentialsError(
                    f"no credentials within {effect.timeout or 0.0:.3g} s: they are still being fetched"
                )
        return self._keys(renewal)

    def _join(
        self, rejected: Credentials | None, home: object
    ) -> tuple[CredentialRefresh | None, Flow[Credentials] | None, bool]:
        """The renewal in flight, its flow if the caller is to begin it, and whether to wait for it."""
        with self._lock:
            cache, renewal = self.cache, self._renewal
            if renewal is not None and renewal.home != home:
                cache.abandoned()
            advice = cache.advise(rejected)
            if advice == "use":
                return None, None, False
            flow = None
            if cache.begin():
                self._renewal = renewal = CredentialRefresh(home)
                flow = fetch_credentials(self._given, self._world.anew())
        if flow is not None and renewal is not None:
            flow = self._first_step(flow, renewal)
        return renewal, flow, advice == "wait"

    def _settle(self, renewal: CredentialRefresh, outcome: object) -> None:
        """The renewal is over and came to `outcome`: credentials, an error, or None if nobody ran it to its end."""
        with self._lock:
            if self._renewal is renewal:
                self._renewal = None
                renewal.error = self._note(outcome)
        renewal.open()

    def _keys(self, renewal: CredentialRefresh | None) -> Credentials:
        """What to sign with, after what `renewal` came to, if there was one; raises `CredentialsError` if there is nothing valid."""
        found = self.cache.valid()
        if found is not None:
            return found
        error = renewal.error if renewal else None
        if error is None:
            raise CredentialsError(
                "fetching credentials was interrupted, or they have just expired: call again"
            )
        tried = error.tried if isinstance(error, CredentialsError) else ()
        raise CredentialsError(
            str(error), tried=tried
        ) from error  # a new one: it may be raised in many places at once

    def _note(self, outcome: object) -> SmRuntimeError | None:
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
            except (
                Exception
            ) as error:  # a time that is no number, say: whoever waits must hear of it
                outcome = error
        cache.failed()
        if isinstance(outcome, SmRuntimeError):
            return outcome
        wrapped = CredentialsError(f"the credentials provider raised {type(outcome).__name__}")
        wrapped.__cause__ = outcome if isinstance(outcome, BaseException) else None
        return wrapped

    def _first_step(
        self, flow: Flow[Credentials], renewal: CredentialRefresh
    ) -> Flow[Credentials] | None:
        """What is left of `flow`; None if that was all."""
        try:
            effect = flow.send(None)
        except StopIteration as end:
            self._settle(renewal, end.value)
        except Exception as error:
            self._settle(renewal, error)
        except BaseException:
            self._settle(renewal, None)
            raise
        else:
            return _rest(effect, flow)
        return None


def _rest(effect: Effect[object], flow: Flow[T]) -> Flow[T]:
    """A flow that has asked for `effect` already, as one that is about to."""
    try:
        while True:
            try:
                effect = flow.send((yield effect))
            except StopIteration as end:
                return cast("T", end.value)
    finally:
        flow.close()
