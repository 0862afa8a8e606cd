"""The credentials of a profile: keys, a program, single sign-on, or a role and its source.

    role_arn + source_profile                    a role, requested with that profile's credentials
    role_arn + credential_source                 … with Environment, EcsContainer or
                                                 Ec2InstanceMetadata
    role_arn + web_identity_token_file           a role, requested with an identity token
    sso_session (or sso_start_url …) + sso_account_id + sso_role_name
    login_session
    credential_process
    aws_access_key_id + aws_secret_access_key

The first line that applies counts, as in the Rust SDK; only in a source profile do keys win over
the other lines. A profile may be its own source: then its keys sign the request for its role. Any
other cycle is an error. `plan_provider` turns a profile into nested providers and does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..config._profiles import Profiles, Settings
from ..effects import Flow
from ..errors import CredentialsError
from ..values._credentials import Credentials
from ._context import ProviderContext, Source
from ._provider import fetch_from
from ._static import find_keys
from ._sts import Role

if TYPE_CHECKING:
    from ._protocols import ProviderLike

MAX_SOURCES: Final = 32
SSO_PROPERTIES: Final = (
    "sso_session",
    "sso_start_url",
    "sso_region",
    "sso_account_id",
    "sso_role_name",
)


class SharedProfile(Source):
    """The credentials of the profile `profile` (None: the client's).

    `mfa` is called with the serial of a device and returns its code.
    """

    name = "profile"

    profile: str | None = None
    mfa: Callable[[str], object] | None = None

    def look(self, context: ProviderContext) -> Flow[Credentials | str]:
        """Return the credentials, or say why there are none; raise `CredentialsError`."""
        settings = yield from context.settings()
        profile_name = self.profile or settings.profile_name
        if self.profile is None and settings.profiles.profile(profile_name) is None:
            return f"there is no profile {profile_name!r}"
        provider = plan_provider(settings.profiles, profile_name, self.mfa)
        if isinstance(provider, str):
            return provider
        return (yield from fetch_from(provider, context))


def plan_provider(
    profiles: Profiles, profile_name: str, mfa: Callable[[str], object] | None = None
) -> ProviderLike | str:
    """Return the provider that a profile describes, or say why it describes none.

    Raises `CredentialsError` for a profile that is invalid.
    """
    visited: list[str] = []
    role_profiles: list[ProfileReader] = []
    provider = _first_provider(profiles, profile_name, visited, role_profiles)
    if isinstance(provider, str):
        if len(visited) == 1 and not role_profiles:
            return provider
        raise CredentialsError(
            f"profile {visited[0]!r}: its source, profile {visited[-1]!r}, has no credentials: "
            f"{provider}"
        )
    for profile in reversed(role_profiles):
        provider = profile.role(provider, mfa)
    return provider


def _first_provider(
    profiles: Profiles, profile_name: str, visited: list[str], role_profiles: list[ProfileReader]
) -> ProviderLike | str:
    """Return the provider that signs the first request, or say why there is none.

    Appends the names of the profiles on the way to `visited`, and those with a role to
    `role_profiles`.
    """
    while True:
        profile = _visit_profile(profiles, profile_name, visited)
        if len(visited) > 1 and profile.has_keys():
            return profile.keys() or ""
        source_name = profile.source_name()
        if source_name is not None:
            role_profiles.append(profile)
        if source_name is None or source_name == profile_name:
            return profile.direct_provider(profiles)
        profile_name = source_name


def describe_profile(profiles: Profiles, profile_name: str) -> str:
    """Return the setting that gives a profile credentials, empty if there is none.

    Its value is left out, except for a role's ARN, which is not secret.
    """
    settings = profiles.profile(profile_name)
    if settings is None:
        return ""
    profile = ProfileReader(profile_name, settings)
    if role_arn := profile.find("role_arn"):
        return f"role_arn {role_arn}"
    names = (*SSO_PROPERTIES, "login_session", "credential_process", "aws_access_key_id")
    return next((name for name in names if profile.find(name)), "")


def _visit_profile(profiles: Profiles, profile_name: str, visited: list[str]) -> ProfileReader:
    """Return a profile, and append its name to `visited`; raise `CredentialsError`."""
    settings = profiles.profile(profile_name)
    if settings is None:
        explanation = profiles.why_missing(profile_name)
        if not visited:
            raise CredentialsError(f"there is no profile {profile_name!r}{explanation}")
        raise CredentialsError(
            f"profile {visited[-1]!r} names {profile_name!r} as its source_profile, "
            f"which is not in the shared files{explanation}"
        )
    if profile_name in visited:
        path = " -> ".join([*visited, profile_name])
        raise CredentialsError(f"the source_profile settings form a cycle: {path}")
    visited.append(profile_name)
    if len(visited) > MAX_SOURCES:
        raise CredentialsError(
            f"profile {visited[0]!r}: its chain of source profiles is longer than {MAX_SOURCES}"
        )
    return ProfileReader(profile_name, settings)


class ProfileReader:
    """One profile, with methods that turn its settings into providers."""

    def __init__(self, profile_name: str, settings: Settings) -> None:
        self.profile_name = profile_name
        self.description = f"profile {profile_name!r}"
        self._settings = settings

    def find(self, name: str) -> str | None:
        """Return a property, None if it is missing or empty."""
        value = self._settings.get(name)
        return value if isinstance(value, str) and value else None

    def source_name(self) -> str | None:
        """Return the name of the profile that signs the request for the role, None if none does."""
        if self.find("role_arn") is None or self.find("web_identity_token_file"):
            return None
        source_profile, credential_source = (
            self.find("source_profile"),
            self.find("credential_source"),
        )
        if source_profile and credential_source:
            raise CredentialsError(
                f"{self.description}: set only one of source_profile and credential_source"
            )
        if not (source_profile or credential_source):
            raise CredentialsError(
                f"{self.description}: role_arn needs a source_profile or a credential_source"
            )
        return source_profile or self.profile_name

    def role(self, source: ProviderLike, mfa: Callable[[str], object] | None) -> Role:
        """Return the provider of the profile's role, requested with credentials of `source`."""
        return Role(
            role_arn=self.find("role_arn") or "",
            source=source,
            session_name=self.find("role_session_name"),
            external_id=self.find("external_id"),
            duration=self._duration(),
            mfa_serial=self.find("mfa_serial"),
            mfa=mfa,
        )

    def direct_provider(self, profiles: Profiles) -> ProviderLike | str:
        """Return the provider for all settings but a source profile, or say why there is none."""
        if credential_source := self.find("credential_source"):
            return self._named_source(credential_source)
        if token_file := self.find("web_identity_token_file"):
            return self._web_identity(token_file)
        if any(self.find(name) for name in SSO_PROPERTIES):
            return self._sso(profiles)
        if login_session := self.find("login_session"):
            from ._login import Login

            return Login(login_session)
        if command := self.find("credential_process"):
            from ._process import Process

            return Process(command, self.find("aws_account_id"))
        return self.keys() or (
            f"{self.description} has none of role_arn, sso_session, login_session, "
            "credential_process and keys"
        )

    def has_keys(self) -> bool:
        """Return whether both halves of a key are set."""
        return bool(self.find("aws_access_key_id") and self.find("aws_secret_access_key"))

    def keys(self) -> Credentials | None:
        """Return the profile's keys; raise `CredentialsError` if one half is missing."""
        return find_keys(self.find, self.description)

    def _named_source(self, credential_source: str) -> ProviderLike:
        if credential_source == "Environment":
            from ._static import Environment

            return Environment()
        if credential_source == "EcsContainer":
            from ._container import Container

            return Container()
        if credential_source == "Ec2InstanceMetadata":
            from ._imds import InstanceMetadata

            return InstanceMetadata()
        raise CredentialsError(
            f"{self.description}: credential_source must be Environment, EcsContainer or "
            "Ec2InstanceMetadata"
        )

    def _web_identity(self, token_file: str) -> ProviderLike:
        from ._sts import WebIdentity

        role_arn = self.find("role_arn")
        if role_arn is None:
            raise CredentialsError(f"{self.description}: web_identity_token_file needs a role_arn")
        return WebIdentity(
            role_arn=role_arn,
            token_file=token_file,
            session_name=self.find("role_session_name"),
            duration=self._duration(),
        )

    def _sso(self, profiles: Profiles) -> ProviderLike:
        from ._sso import Sso

        session_name = self.find("sso_session")
        session = None
        if session_name is not None:
            settings = profiles.sso_session(session_name)
            if settings is None:
                explanation = profiles.why_missing(session_name, "sso-session")
                raise CredentialsError(
                    f"{self.description}: there is no [sso-session {session_name}]{explanation}"
                )
            session = ProfileReader(f"[sso-session {session_name}]", settings)
        account_id, role_name = self.find("sso_account_id"), self.find("sso_role_name")
        if (account_id is None) != (role_name is None):
            raise CredentialsError(
                f"{self.description}: set both sso_account_id and sso_role_name, or neither"
            )
        return Sso(
            start_url=self._sso_setting("sso_start_url", session),
            region=self._sso_setting("sso_region", session),
            account_id=account_id,
            role_name=role_name,
            session=session_name,
        )

    def _sso_setting(self, name: str, session: ProfileReader | None) -> str:
        """Return a property of the session, or of the profile in the older format without one."""
        value = (session or self).find(name)
        if value is None:
            section = f" in {session.profile_name}" if session else ""
            raise CredentialsError(f"{self.description}: {name} is missing{section}")
        if session is not None and (self.find(name) or value) != value:
            raise CredentialsError(
                f"{self.description}: its {name} differs from the one in {session.profile_name}; "
                "remove one of them"
            )
        return value

    def _duration(self) -> int | None:
        text = self.find("duration_seconds")
        if text is None:
            return None
        is_number = text.isascii() and text.isdigit() and len(text) < 6
        if not (is_number and 900 <= int(text) <= 43200):
            raise CredentialsError(
                f"{self.description}: duration_seconds must be a whole number from 900 to 43200"
            )
        return int(text)
