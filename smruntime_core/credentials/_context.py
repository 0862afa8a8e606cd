"""The input of a provider's flow, and the base class of the sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from ..conversation._deadline import Clock
from ..effects import Flow, ReadFile
from ..errors import ConstructionError, CredentialsError
from ..values._credentials import Credentials
from ..values._record import Record
from ..values._redacted import NeverPickled, RedactedMapping

if TYPE_CHECKING:
    from ..config._settings import SettingSources

MAX_DOCUMENT: Final = 64 * 1024  # bytes of an answer or a token


class ProviderContext:
    """The environment, clock, random numbers, and the client's `profile` and `region` if given.

    It remembers what it has read of the shared files, so each resolution uses a copy (`anew`).
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        home: str,
        clock: Clock,
        random: Callable[[], float],
        profile: str | None = None,
        region: str | None = None,
        windows: bool = False,
    ) -> None:
        self.environ: RedactedMapping[str] = (
            environ if isinstance(environ, RedactedMapping) else RedactedMapping(environ)
        )
        self.home = home
        self.clock = clock
        self.random = random
        self.profile = profile
        self.region = region
        self.windows = windows
        self._settings: SettingSources | None = None

    def anew(self) -> ProviderContext:
        """Return a copy that has not read the shared files."""
        return ProviderContext(
            self.environ,
            home=self.home,
            clock=self.clock,
            random=self.random,
            profile=self.profile,
            region=self.region,
            windows=self.windows,
        )

    def variable(self, name: str) -> str | None:
        """Return an environment variable, None if it is unset or blank."""
        return self.environ.get(name, "").strip() or None

    def settings(self) -> Flow[SettingSources]:
        """Return the environment and the parsed shared files.

        Raises `CredentialsError` if a file cannot be used.
        """
        if self._settings is None:
            # Imported late: a program that uses other credentials does not need it.
            from ..config._settings import SettingSources, read_shared_files

            with CredentialsErrorContext("the shared files"):
                profiles, _ = yield from read_shared_files(
                    self.environ, home=self.home, windows=self.windows
                )
                self._settings = SettingSources(self.environ, profiles, self.profile)
        return self._settings

    def find_region(self, source_region: str | None) -> Flow[str]:
        """Return the region of a credential service: the source's, the client's or the setting.

        Raises `CredentialsError` if there is none.
        """
        region = source_region or self.region
        if region is None:
            settings = yield from self.settings()
            found = settings.find_setting(("AWS_REGION", "AWS_DEFAULT_REGION"), "region")
            region = found and found.value
        if region is None:
            raise CredentialsError(
                "no region for the credential service: set AWS_REGION, or add region to the profile"
            )
        return region

    def home_path(self, *parts: str) -> str:
        """Return a path below the home directory, which is `HOME` if that is set."""
        separator = "\\" if self.windows else "/"
        directory = (self.variable("HOME") or self.home).rstrip("/" + separator)
        return separator.join((directory, *parts))


class Source(Record):
    """One source of credentials; `name` is its name in error messages.

    `look` returns credentials, or says why there are none here, so that a chain asks the next
    source. It raises `CredentialsError`, which ends a chain, if it is set up but fails.
    """

    name: ClassVar[str]

    def look(self, context: ProviderContext) -> Flow[Credentials | str]:
        """Return credentials, or say why there are none here."""
        raise NotImplementedError

    def provide(self, context: ProviderContext) -> Flow[Credentials]:
        """Return credentials of this source alone; raise `CredentialsError` if there are none."""
        found = yield from self.look(context)
        if isinstance(found, str):
            raise CredentialsError(
                f"no credentials: {self.name}: {found}", tried=((self.name, found),)
            )
        return found


class CredentialsErrorContext:
    """A context manager that turns a `ConstructionError` into a `CredentialsError`.

    `origin` says where the refused value was found.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def __enter__(self) -> None: ...

    def __exit__(self, error_class: object, error: object, traceback: object) -> None:
        if isinstance(error, ConstructionError):
            raise CredentialsError(f"{self.origin}: {error}") from None


def read_token_file(path: str, description: str) -> Flow[SecretToken]:
    """Return the one line in a file; raise `CredentialsError` if it is missing or not a token."""
    with CredentialsErrorContext(description):
        content = yield from ReadFile(path, MAX_DOCUMENT)
    if content is None:
        raise CredentialsError(f"{description}: there is no file {path}")
    return SecretToken(content.strip(), f"{description}: {path}")


class SecretToken(NeverPickled):
    """A token that can be sent in a header; its repr shows its length only."""

    def __init__(self, value: bytes | str, origin: str) -> None:
        self.value: str = value if isinstance(value, str) else value.decode("latin-1")
        is_printable = self.value.isascii() and self.value.isprintable()
        if not (0 < len(value) <= MAX_DOCUMENT and is_printable):
            raise CredentialsError(
                f"{origin} must hold 1 to {MAX_DOCUMENT} printable ASCII characters in one line"
            )

    def __repr__(self) -> str:
        return f"<token of {len(self.value)} characters>"
