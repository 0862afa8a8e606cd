"""Whatever a caller has for credentials, as a provider: an object whose `provide(world)` is a flow."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, cast

from ..effects import Ask, Effect, Flow
from ..errors import ConstructionError, CredentialsError, SmRuntimeError
from ..values._credentials import Credentials
from ._context import Blaming, ProviderContext

if TYPE_CHECKING:
    from ._protocols import Freezable, Keys, Provider, ProviderLike

FOREIGN = 300.0  # seconds that temporary keys are kept for which do not say when they expire
TAKES = "Credentials, a provider, a callable that returns credentials, or a session or credentials object of botocore"


def adapted(given: ProviderLike) -> Provider:
    """Return the provider that `given` stands for; raise `ConstructionError` for any other object."""
    found: object = given
    if not isinstance(given, type):  # a class makes one of these; its methods want an instance
        if callable(getattr(given, "provide", None)):
            return cast("Provider", given)
        if callable(getattr(given, "get_frozen_credentials", None)):
            return BotocoreProvider(cast("Freezable", given))
        if isinstance(given, Credentials) or (
            hasattr(given, "access_key") and hasattr(given, "secret_key")
        ):
            return StaticProvider(cast("Credentials | Keys", given))
        found = getattr(given, "get_credentials", given)
    if callable(found):
        return CallableProvider(cast("Callable[[], object]", found))
    raise ConstructionError("credentials", TAKES, f"found {type(given).__name__}")


def fetch_from(given: ProviderLike, world: ProviderContext) -> Flow[Credentials]:
    """The credentials that `given` stands for; raises `CredentialsError`, also for a provider that is none after all."""
    return provided(adapted(given), world)


def provided(provider: Provider, world: ProviderContext) -> Flow[Credentials]:
    """What `provider` provides, if that is credentials and comes by a flow; raises `CredentialsError`."""
    flow: object = provider.provide(world)
    name = f"{type(provider).__name__}.provide"
    if not isinstance(flow, Generator):
        if callable(close := getattr(flow, "close", None)):  # a coroutine, which nobody will await
            close()
        raise CredentialsError(
            f"the credentials provider {name} must be a flow, that is a generator; it returns {type(flow).__name__}"
        )
    found: object = yield from cast("Flow[object]", flow)
    if isinstance(found, Credentials):
        return found
    raise _unfit(name, found)


class StaticProvider:
    """Credentials that the caller has, or botocore's frozen ones."""

    def __init__(self, credentials: Credentials | Keys) -> None:
        self._credentials = credentials

    def provide(self, world: ProviderContext) -> Flow[Credentials]:
        """They themselves; raises `CredentialsError` if they cannot sign."""
        yield from ()
        if isinstance(self._credentials, Credentials):
            return self._credentials
        return _signing(self._credentials, type(self._credentials).__name__, world)


class BotocoreProvider:
    """Credentials of botocore's, which renew themselves when they are asked for the frozen ones."""

    def __init__(self, source: Freezable) -> None:
        self._source = source

    def provide(self, world: ProviderContext) -> Flow[Credentials]:
        """The frozen ones; raises `CredentialsError` if they cannot sign."""
        keys = yield from Ask(self._source.get_frozen_credentials)
        expiry = getattr(
            self._source, "_expiry_time", None
        )  # after they were asked for, since some know it only then
        return _signing(cast("Keys", keys), type(self._source).__name__, world, expiry)


class CallableProvider:
    """Something of the caller's that has credentials when it is called.

    If they expire, they should say when (`expires_at`): those that do not are kept until the service rejects them.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function

    def provide(self, world: ProviderContext) -> Flow[Credentials]:
        """What it returns; raises `CredentialsError` if that is nothing to sign with, and names what it raises."""
        answer = yield from Ask(self._function)
        try:
            if isinstance(answer, Generator):
                answer = yield from cast("Generator[Effect[object], object, object]", answer)
            if answer is None:
                raise CredentialsError(
                    f"the credentials provider {name_of(self._function)} found none"
                )
            provider = _once_more(answer, name_of(self._function))
        except SmRuntimeError:
            raise
        except Exception as error:
            raise provider_error(self._function, error) from error
        return (yield from provided(provider, world))


def name_of(function: object) -> str:
    """What to call something of the user's."""
    return getattr(function, "__qualname__", type(function).__name__)


def holds_keys(provider: object) -> bool:
    """Return whether `provider` holds credentials itself, and so must not be pickled."""
    return isinstance(provider, StaticProvider | BotocoreProvider)


def provider_error(function: object, error: Exception) -> CredentialsError:
    """What something of the user's raised, without its words: they may hold a secret."""
    return CredentialsError(
        f"the credentials provider {name_of(function)} raised {type(error).__name__}"
    )


def _once_more(answer: object, name: str) -> Provider:
    """What was asked for credentials may answer with anything that they may be asked of."""
    try:
        return adapted(cast("ProviderLike", answer))
    except ConstructionError:
        raise _unfit(name, answer) from None


def _unfit(name: str, found: object) -> CredentialsError:
    return CredentialsError(
        f"the credentials provider {name} must return Credentials, not {type(found).__name__}"
    )


def _signing(keys: Keys, name: str, world: ProviderContext, expiry: object = None) -> Credentials:
    """Keys in the form that botocore has them in. If they do not say when they expire, they are asked for again before long."""
    with Blaming(f"the credentials provider {name}"):
        try:
            soon = world.clock.time() + FOREIGN if keys.token else None
            moment: Callable[[], float] | None = getattr(
                expiry, "timestamp", None
            )  # a `datetime` has one
            expires_at = moment() if moment else soon
            return Credentials(
                keys.access_key or "",
                keys.secret_key or "",
                keys.token,
                expires_at,
                getattr(keys, "account_id", None),
            )
        except AttributeError:
            raise _unfit(name, keys) from None
