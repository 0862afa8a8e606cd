"""What a provider's flow may know without asking, and the shape that the sources have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from ..conversation._deadline import Clock
from ..effects import Flow, ReadFile
from ..errors import ConstructionError, CredentialsError
from ..values._credentials import Credentials
from ..values._record import Record
from ..values._redacted import NeverPickled, RedactedMapping

if TYPE_CHECKING:
    from ..config._settings import Sources

MAX_DOCUMENT = 64 * 1024  # bytes of an answer or a token


class ProviderContext:
    """The environment, the time, chance, and what the client was told: its `profile` and `region`, None if it was not.

    It is a snapshot: what it has read of the shared files it remembers, so each resolution has one of its own (`anew`).
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
        self.environ = (
            environ if isinstance(environ, RedactedMapping) else RedactedMapping(environ)
        )  # whose repr shows no values
        self.home = home
        self.clock = clock
        self.random = random
        self.profile = profile
        self.region = region
        self.windows = windows
        self._settings: Sources | None = None

    def anew(self) -> ProviderContext:
        """The same, with nothing remembered."""
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
        """What the environment says; nothing but blanks counts as nothing."""
        return self.environ.get(name, "").strip() or None

    def settings(self) -> Flow[Sources]:
        """The environment and the shared files, to be asked for values; raises `CredentialsError` if they cannot be used."""
        if self._settings is None:
            from ..config._settings import (
                Sources,
                shared_files,
            )  # a client has it loaded; somebody with other plans may not

            with Blaming("the shared files"):
                profiles, _ = yield from shared_files(
                    self.environ, home=self.home, windows=self.windows
                )
                self._settings = Sources(self.environ, profiles, self.profile)
        return self._settings

    def called_from(self, argued: str | None) -> Flow[str]:
        """The region to call a service in: the source's own, the client's, or the one that is set."""
        region = argued or self.region
        if region is None:
            found = (yield from self.settings()).find(
                ("AWS_REGION", "AWS_DEFAULT_REGION"), "region"
            )
            region = found and found.value
        if region is None:
            raise CredentialsError("no region to call: set AWS_REGION, or region in the profile")
        return region

    def path(self, *parts: str) -> str:
        """A path below the home directory, which `HOME` names if it is set."""
        slash = "\\" if self.windows else "/"
        return slash.join(((self.variable("HOME") or self.home).rstrip("/" + slash), *parts))


class Source(Record):
    """One place to look. `name` is what a diagnosis calls it; `look` returns credentials, or says why there are none here.

    A source that is meant to have some, but cannot be read or refuses, raises `CredentialsError`, and ends a chain by that.
    """

    name: ClassVar[str]

    def look(self, world: ProviderContext) -> Flow[Credentials | str]:
        """Credentials, or why there are none here."""
        raise NotImplementedError

    def provide(self, world: ProviderContext) -> Flow[Credentials]:
        """Credentials from here alone; raises `CredentialsError`."""
        found = yield from self.look(world)
        if isinstance(found, str):
            raise CredentialsError(
                f"no credentials: {self.name}: {found}", tried=((self.name, found),)
            )
        return found


class Blaming:
    """What is refused inside is a fault of the set-up: it becomes a `CredentialsError` that says where it was found."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, refusal: object, traceback: object) -> None:
        if isinstance(refusal, ConstructionError):
            raise CredentialsError(f"{self.where}: {refusal}") from None


def read_token(path: str, what: str) -> Flow[Token]:
    """The one line in the file at `path`; raises `CredentialsError` if there is none or it is no token."""
    with Blaming(what):
        text = yield from ReadFile(path, MAX_DOCUMENT)
    if text is None:
        raise CredentialsError(f"{what}: there is no file {path}")
    return Token(text.strip(), f"{what}: {path}")


class Token(NeverPickled):
    """A secret word: what shows itself when a frame is looked at is its length."""

    def __init__(self, word: bytes | str, where: str) -> None:
        self.word = word if isinstance(word, str) else word.decode("latin-1")
        if not (0 < len(word) <= MAX_DOCUMENT and self.word.isascii() and self.word.isprintable()):
            raise CredentialsError(
                f"{where} must hold 1 to {MAX_DOCUMENT} printable ASCII characters in one line"
            )

    def __repr__(self) -> str:
        return f"<token of {len(self.word)} characters>"
