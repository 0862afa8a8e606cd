"""Whatever a caller has for credentials, as a provider: an object whose `provide(world)` is a flow."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, cast

from .._effects import Ask, Effect, Flow
from .._errors import ConstructionError, CredentialsError, SmRuntimeError
from .._model import Credentials
from ._world import Blaming, World

if TYPE_CHECKING:
    from ._protocols import Freezable, Keys, Provider, ProviderLike

FOREIGN = 300.0  # seconds that temporary keys are kept for which do not say when they expire
TAKES = "Credentials, a provider, a callable that returns credentials, or a session or credentials object of botocore"


def provider_of(given: ProviderLike | None) -> Provider:
    """The provider that `given` stands for (None: the default chain); raises `ConstructionError` for what can be none."""
    if given is None:
        from ._chain import DefaultChain

        return DefaultChain()
    if isinstance(given, Credentials):
        return Given(given)
    if callable(getattr(given, "provide", None)):
        return cast("Provider", given)
    if callable(getattr(given, "get_frozen_credentials", None)):
        return Freezing(cast("Freezable", given))
    found = getattr(given, "get_credentials", given)
    if callable(found):
        return Asked(cast("Callable[[], object]", found))
    raise ConstructionError("credentials", TAKES, f"found {type(given).__name__}")


class Given:
    """Credentials that the caller has."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def provide(self, world: World) -> Flow[Credentials]:
        """They themselves."""
        del world
        yield from ()
        return self._credentials


class Freezing:
    """Credentials of botocore's, which renew themselves when they are asked for the frozen ones."""

    def __init__(self, source: Freezable) -> None:
        self._source = source

    def provide(self, world: World) -> Flow[Credentials]:
        """The frozen ones; raises `CredentialsError` if they cannot sign."""
        keys = yield from Ask(self._source.get_frozen_credentials)
        expiry = getattr(self._source, "_expiry_time", None)  # after they were asked for, since some know it only then
        return _signing(keys, type(self._source).__name__, world, expiry)


class Asked:
    """Something of the caller's that has credentials when it is called.

    If they expire, they should say when (`expires_at`): those that do not are kept until the service rejects them.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function

    def provide(self, world: World) -> Flow[Credentials]:
        """What it returns; raises `CredentialsError` if that is nothing to sign with, and names what it raises."""
        name = name_of(self._function)
        answer = yield from Ask(self._function)
        if isinstance(answer, Generator):
            try:
                answer = yield from cast("Generator[Effect[object], object, object]", answer)
            except SmRuntimeError:
                raise
            except Exception as error:
                raise raised(self._function, error) from error
        return (yield from _understood(answer, name, world))


def name_of(function: object) -> str:
    """What to call something of the user's."""
    return getattr(function, "__qualname__", type(function).__name__)


def raised(function: object, error: Exception) -> CredentialsError:
    """What something of the user's raised, without its words: they may hold a secret."""
    return CredentialsError(f"the credentials provider {name_of(function)} raised {type(error).__name__}")


def _understood(answer: object, name: str, world: World) -> Flow[Credentials]:
    """`answer` as credentials, whatever form they have."""
    if isinstance(answer, Credentials):
        return answer
    if answer is None:
        raise CredentialsError(f"the credentials provider {name} found none")
    if callable(getattr(answer, "get_frozen_credentials", None)):
        return (yield from Freezing(cast("Freezable", answer)).provide(world))
    return _signing(answer, name, world, None)


def _signing(answer: object, name: str, world: World, expiry: object) -> Credentials:
    """Keys in the form that botocore has them in. If they do not say when they expire, they are asked for again before long."""
    with Blaming(f"the credentials provider {name}"):
        try:
            keys = cast("Keys", answer)
            soon = world.clock.time() + FOREIGN if keys.token else None
            moment: Callable[[], float] | None = getattr(expiry, "timestamp", None)  # a `datetime` has one
            expires_at = moment() if moment else soon
            return Credentials(keys.access_key or "", keys.secret_key or "", keys.token, expires_at, getattr(keys, "account_id", None))
        except AttributeError:
            kind = type(answer).__name__
        finally:
            del answer
    raise CredentialsError(f"the credentials provider {name} must return Credentials, not {kind}")
