"""The default chain: sources are asked in order until one has credentials.

    1  the environment           AWS_ACCESS_KEY_ID, …; skipped if a profile is given as an argument
    2  the profile               ~/.aws/config and ~/.aws/credentials: keys, programs, roles,
                                 single sign-on, `aws login`
    3  web identity              AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN; skipped as 1 is
    4  the container             AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI
    5  instance metadata         EC2

This is the order of the Rust SDK (`aws-config`, default provider). boto3's differs in one point: it
asks a web identity in the environment before the keys of a profile. A source that is not set up
says so, and the next one is asked. A source that is set up but fails ends the search: going on
could sign with an identity that was not intended. If no source has credentials, the error lists
the answer of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..effects import Flow
from ..errors import CredentialsError
from ..values._credentials import Credentials
from ..values._record import Record
from ._context import ProviderContext, Source
from ._static import Environment

if TYPE_CHECKING:
    from ._protocols import Provider, ProviderLike


class Resolution:
    """Credentials, the name of their source, and the answers of the sources before it."""

    def __init__(
        self, credentials: Credentials, source: str, tried: tuple[tuple[str, str], ...]
    ) -> None:
        self.credentials = credentials
        self.source = source
        self.tried = tried


class DefaultChain(Record):
    """The default chain as a provider.

    `mfa` is called with the serial of a device and returns its code, if a profile's role needs one.
    """

    mfa: Callable[[str], object] | None = None

    def provide(self, context: ProviderContext) -> Flow[Credentials]:
        """Return the first credentials; raise `CredentialsError` with the answer of each source."""
        return (yield from resolve(context, self.mfa)).credentials


def make_provider(candidate: ProviderLike | None) -> Provider:
    """Return the provider for `candidate`, the default chain for None.

    Raises `ConstructionError` for an object that is neither credentials nor a source of them.
    """
    if candidate is None:
        return DefaultChain()
    from ._provider import adapt_provider

    return adapt_provider(candidate)


def fetch_credentials(
    candidate: ProviderLike | None, context: ProviderContext
) -> Flow[Credentials]:
    """Return the credentials of `candidate`, or of the default chain for None.

    Raises `CredentialsError`.
    """
    from ._provider import run_provider

    return run_provider(make_provider(candidate), context)


def resolve(
    context: ProviderContext, mfa: Callable[[str], object] | None = None
) -> Flow[Resolution]:
    """Ask the sources of the default chain; raise `CredentialsError` with the answer of each."""
    context = context.anew()
    tried: list[tuple[str, str]] = []
    for source in _iterate_sources(context, mfa):
        try:
            found = yield from source.look(context)
        except CredentialsError as error:
            tried.append((source.name, str(error)))
            raise _chain_error(tried) from None
        if not isinstance(found, str):
            return Resolution(found, source.name, tuple(tried))
        tried.append((source.name, found))
    raise _chain_error(tried)


def overridden(context: ProviderContext, source: str) -> Flow[tuple[tuple[str, str], ...]]:
    """Return the sources that are set up but lose to `source`, each with what sets it up.

    `source` is the name in a `Resolution`. A common surprise is a role in the profile that loses to
    keys in the environment. Reads the shared files, sends nothing and runs no program. Raises
    `CredentialsError` if the files cannot be used.
    """
    losers: list[tuple[str, str]] = []
    if context.profile is not None and context.variable("AWS_ACCESS_KEY_ID"):
        losers.append(("the environment", "AWS_ACCESS_KEY_ID is set; a given profile wins over it"))
    if source == "the environment":
        from ._profile import describe_profile

        settings = yield from context.settings()
        description = describe_profile(settings.profiles, settings.profile_name)
        if description:
            losers.append(("profile", f"profile {settings.profile_name!r} has {description}"))
    if source in ("the environment", "profile"):
        losers += _set_variable(context, "web identity", "AWS_WEB_IDENTITY_TOKEN_FILE")
    if source in ("the environment", "profile", "web identity"):
        losers += _set_variable(context, "container", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        losers += _set_variable(context, "container", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    return tuple(losers)


def _set_variable(context: ProviderContext, source: str, variable: str) -> list[tuple[str, str]]:
    return [(source, f"{variable} is set")] if context.variable(variable) else []


def _chain_error(tried: list[tuple[str, str]]) -> CredentialsError:
    """Return the error that lists the answers of the sources that were tried."""
    answers = "; ".join(
        answer if answer.startswith(name) else f"{name}: {answer}" for name, answer in tried
    )
    return CredentialsError(
        f"no credentials: {answers} (`smruntime doctor` shows more)", tried=tuple(tried)
    )


def _iterate_sources(
    context: ProviderContext, mfa: Callable[[str], object] | None
) -> Iterator[Source]:
    """Yield the sources in order; each is imported when it is needed."""
    has_profile_argument = context.profile is not None
    if not has_profile_argument:
        yield Environment()
    from ._profile import SharedProfile

    yield SharedProfile(None, mfa)
    if not has_profile_argument:
        from ._sts import WebIdentity

        yield WebIdentity()
    from ._container import Container

    yield Container()
    from ._imds import InstanceMetadata

    yield InstanceMetadata()
