"""Turn whatever is accepted as credentials into a provider."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final, cast

from ..effects import Ask, Effect, Flow
from ..errors import ConstructionError, CredentialsError, SmRuntimeError
from ..values._credentials import Credentials
from ._context import CredentialsErrorContext, ProviderContext

if TYPE_CHECKING:
    from ._protocols import BotocoreCredentials, FrozenKeys, Provider, ProviderLike

UNKNOWN_LIFETIME: Final = 300.0  # seconds to keep temporary keys that do not say when they expire
ACCEPTED: Final = (
    "Credentials, a provider, a callable that returns credentials, or a session or credentials "
    "object of botocore"
)


def adapt_provider(candidate: ProviderLike) -> Provider:
    """Return the provider for `candidate`; raise `ConstructionError` for an unsuitable object."""
    function: object = candidate
    if not isinstance(candidate, type):  # a class is called; only its instances have the methods
        if callable(getattr(candidate, "provide", None)):
            return cast("Provider", candidate)
        if callable(getattr(candidate, "get_frozen_credentials", None)):
            return BotocoreProvider(cast("BotocoreCredentials", candidate))
        if isinstance(candidate, Credentials) or (
            hasattr(candidate, "access_key") and hasattr(candidate, "secret_key")
        ):
            return StaticProvider(cast("Credentials | FrozenKeys", candidate))
        function = getattr(candidate, "get_credentials", candidate)
    if callable(function):
        return CallableProvider(cast("Callable[[], object]", function))
    raise ConstructionError("credentials", ACCEPTED, f"found {type(candidate).__name__}")


def fetch_from(candidate: ProviderLike, context: ProviderContext) -> Flow[Credentials]:
    """Return the credentials of `candidate`; raise `CredentialsError` if it provides none."""
    return run_provider(adapt_provider(candidate), context)


def run_provider(provider: Provider, context: ProviderContext) -> Flow[Credentials]:
    """Return the credentials of `provider`.

    Raises `CredentialsError` if its `provide` is not a flow or returns something else.
    """
    flow: object = provider.provide(context)
    provider_name = f"{type(provider).__name__}.provide"
    if not isinstance(flow, Generator):
        if callable(close := getattr(flow, "close", None)):  # avoids "coroutine was never awaited"
            close()
        raise CredentialsError(
            f"the credentials provider {provider_name} must be a flow, that is a generator; "
            f"it returns {type(flow).__name__}"
        )
    result: object = yield from cast("Flow[object]", flow)
    if isinstance(result, Credentials):
        return result
    raise _wrong_result(provider_name, result)


class StaticProvider:
    """A provider of given credentials, or of botocore's frozen ones."""

    def __init__(self, credentials: Credentials | FrozenKeys) -> None:
        self._credentials = credentials

    def provide(self, context: ProviderContext) -> Flow[Credentials]:
        """Return the credentials; raise `CredentialsError` if they cannot sign."""
        yield from ()
        if isinstance(self._credentials, Credentials):
            return self._credentials
        return _convert_keys(self._credentials, type(self._credentials).__name__, context)


class BotocoreProvider:
    """A provider of botocore's credentials, which refresh themselves when frozen."""

    def __init__(self, botocore_credentials: BotocoreCredentials) -> None:
        self._botocore_credentials = botocore_credentials

    def provide(self, context: ProviderContext) -> Flow[Credentials]:
        """Return the frozen credentials; raise `CredentialsError` if they cannot sign."""
        frozen_keys = yield from Ask(self._botocore_credentials.get_frozen_credentials)
        # Read afterwards: some credentials know their expiry only once they were fetched.
        expiry = getattr(self._botocore_credentials, "_expiry_time", None)
        class_name = type(self._botocore_credentials).__name__
        return _convert_keys(cast("FrozenKeys", frozen_keys), class_name, context, expiry)


class CallableProvider:
    """A provider that calls a function of the caller's.

    Credentials that expire should say when (`expires_at`); others are kept until the service
    rejects them.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function

    def provide(self, context: ProviderContext) -> Flow[Credentials]:
        """Return what the function returns; raise `CredentialsError` if it cannot sign."""
        answer = yield from Ask(self._function)
        function_name = callable_name(self._function)
        try:
            if isinstance(answer, Generator):
                answer = yield from cast("Generator[Effect[object], object, object]", answer)
            if answer is None:
                raise CredentialsError(
                    f"the credentials provider {function_name} returned no credentials"
                )
            provider = _adapt_answer(answer, function_name)
        except SmRuntimeError:
            raise
        except Exception as error:
            raise provider_error(self._function, error) from error
        return (yield from run_provider(provider, context))


def callable_name(function: object) -> str:
    """Return the name of a caller's function or object for an error message."""
    return getattr(function, "__qualname__", type(function).__name__)


def holds_keys(provider: object) -> bool:
    """Return whether `provider` holds credentials itself, so that it must not be pickled."""
    return isinstance(provider, StaticProvider | BotocoreProvider)


def provider_error(function: object, error: Exception) -> CredentialsError:
    """Return the error for a function that raised; its message may be secret and is left out."""
    return CredentialsError(
        f"the credentials provider {callable_name(function)} raised {type(error).__name__}"
    )


def _adapt_answer(answer: object, function_name: str) -> Provider:
    """Return the provider for what a callable returned; raise `CredentialsError`."""
    try:
        return adapt_provider(cast("ProviderLike", answer))
    except ConstructionError:
        raise _wrong_result(function_name, answer) from None


def _wrong_result(provider_name: str, result: object) -> CredentialsError:
    return CredentialsError(
        f"the credentials provider {provider_name} must return Credentials, "
        f"not {type(result).__name__}"
    )


def _convert_keys(
    keys: FrozenKeys, provider_name: str, context: ProviderContext, expiry: object = None
) -> Credentials:
    """Convert botocore's keys; `expiry` is a datetime. Without one, temporary keys last 5 min."""
    with CredentialsErrorContext(f"the credentials provider {provider_name}"):
        try:
            default_expiry = context.clock.time() + UNKNOWN_LIFETIME if keys.token else None
            timestamp: Callable[[], float] | None = getattr(expiry, "timestamp", None)
            return Credentials(
                keys.access_key or "",
                keys.secret_key or "",
                keys.token,
                timestamp() if timestamp else default_expiry,
                getattr(keys, "account_id", None),
            )
        except AttributeError:
            raise _wrong_result(provider_name, keys) from None
