"""The default chain: one place after the other, until one has credentials.

    1  the environment           AWS_ACCESS_KEY_ID, …; not if a profile was asked for by argument
    2  the profile               ~/.aws/config and ~/.aws/credentials: keys, programs, roles, single sign-on, `aws login`
    3  web identity              AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN; not if a profile was asked for
    4  the container             AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI
    5  instance metadata         EC2

It is the order of the Rust SDK (`aws-config`, default provider), and boto3's but for this: boto3 looks for a web identity of the
environment before the keys of a profile. A place that has nothing says so, and the next is asked; one that is set up but fails ends
the search, since going on would sign as somebody whom nobody meant. If nothing is found, the error is the list of what each said.
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
    """Credentials, the name of the source that had them, and what those before it said."""

    def __init__(
        self, credentials: Credentials, source: str, tried: tuple[tuple[str, str], ...]
    ) -> None:
        self.credentials = credentials
        self.source = source
        self.tried = tried


class DefaultChain(Record):
    """The default chain as a provider. `mfa` is called with the serial of a device, if a profile's role asks for its code."""

    mfa: Callable[[str], object] | None = None

    def provide(self, world: ProviderContext) -> Flow[Credentials]:
        """The first credentials found; raises `CredentialsError` with what each source said."""
        return (yield from resolve(world, self.mfa)).credentials


def make_provider(given: ProviderLike | None) -> Provider:
    """Return the provider that `given` stands for, the default chain for None.

    Raises `ConstructionError` for an object that is neither credentials nor a source of them.
    """
    if given is None:
        return DefaultChain()
    from ._provider import adapted

    return adapted(given)


def fetch_credentials(given: ProviderLike | None, world: ProviderContext) -> Flow[Credentials]:
    """Return the credentials of `given`, or of the default chain for None.

    Raises `CredentialsError`.
    """
    from ._provider import provided

    return provided(make_provider(given), world)


def resolve(world: ProviderContext, mfa: Callable[[str], object] | None = None) -> Flow[Resolution]:
    """Go through the chain; raises `CredentialsError`, whose `tried` says what each source said."""
    world = world.anew()
    tried: list[tuple[str, str]] = []
    for source in _sources(world, mfa):
        try:
            found = yield from source.look(world)
        except CredentialsError as error:
            tried.append((source.name, str(error)))
            raise _diagnosis(tried) from None
        if not isinstance(found, str):
            return Resolution(found, source.name, tuple(tried))
        tried.append((source.name, found))
    raise _diagnosis(tried)


def overridden(world: ProviderContext, source: str) -> Flow[tuple[tuple[str, str], ...]]:
    """Return the sources that are set up but lose against `source`, each with what it stands for.

    `source` is the name in a `Resolution`. Reads the shared files, sends nothing and runs nothing.
    A role in the profile that keys in the environment override is the usual surprise. Raises
    `CredentialsError` if the files cannot be used.
    """
    found: list[tuple[str, str]] = []
    if world.profile is not None and world.variable("AWS_ACCESS_KEY_ID"):
        found.append(
            ("the environment", "AWS_ACCESS_KEY_ID is set; a given profile goes before it")
        )
    if source == "the environment":
        from ._profile import stands_for

        settings = yield from world.settings()
        told = stands_for(settings.profiles, settings.name)
        if told:
            found.append(("profile", f"profile {settings.name!r} has {told}"))
    if source in ("the environment", "profile"):
        found += _set_up(world, "web identity", "AWS_WEB_IDENTITY_TOKEN_FILE")
    if source in ("the environment", "profile", "web identity"):
        found += _set_up(world, "container", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        found += _set_up(world, "container", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    return tuple(found)


def _set_up(world: ProviderContext, source: str, variable: str) -> list[tuple[str, str]]:
    return [(source, f"{variable} is set")] if world.variable(variable) else []


def _diagnosis(tried: list[tuple[str, str]]) -> CredentialsError:
    said = "; ".join(
        reason if reason.startswith(name) else f"{name}: {reason}" for name, reason in tried
    )
    return CredentialsError(
        f"no credentials: {said} (`python -m smruntime_transports doctor` shows more)",
        tried=tuple(tried),
    )


def _sources(world: ProviderContext, mfa: Callable[[str], object] | None) -> Iterator[Source]:
    """One after the other, imported when its turn comes."""
    argued = world.profile is not None
    if not argued:
        yield Environment()
    from ._profile import SharedProfile

    yield SharedProfile(None, mfa)
    if not argued:
        from ._sts import WebIdentity

        yield WebIdentity()
    from ._container import Container

    yield Container()
    from ._imds import InstanceMetadata

    yield InstanceMetadata()
