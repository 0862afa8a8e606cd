"""What a profile stands for: keys, a program, a session of single sign-on, or a role that some other profile's credentials may have.

    role_arn + source_profile ──> the role, asked for with what that profile stands for, and so on down
    role_arn + credential_source = Environment | EcsContainer | Ec2InstanceMetadata
    role_arn + web_identity_token_file
    sso_session (or sso_start_url …) + sso_account_id + sso_role_name
    login_session
    credential_process
    aws_access_key_id + aws_secret_access_key

The first of the lines that applies holds, as in the Rust SDK; only in a profile that another names as its source do keys go before
everything. A profile may be its own source: its keys then are what it asks with. One that comes back to itself otherwise is a loop.
`plan` reads all this into providers, one inside the other, and asks for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..config._profiles import Profiles, Settings
from ..effects import Flow
from ..errors import CredentialsError
from ..values._credentials import Credentials
from ._context import ProviderContext, Source
from ._provider import fetch_from
from ._static import keys
from ._sts import Role

if TYPE_CHECKING:
    from ._protocols import ProviderLike

MAX_ROLES = 32
SSO = ("sso_session", "sso_start_url", "sso_region", "sso_account_id", "sso_role_name")


class SharedProfile(Source):
    """What the profile `profile` (None: the client's) stands for. `mfa` is called with the serial of a device and returns its code."""

    name = "profile"

    profile: str | None = None
    mfa: Callable[[str], object] | None = None

    def look(self, world: ProviderContext) -> Flow[Credentials | str]:
        """The profile's credentials, or why there are none here; raises `CredentialsError`."""
        settings = yield from world.settings()
        name = self.profile or settings.name
        if self.profile is None and settings.profiles.profile(name) is None:
            return f"there is no profile {name!r}"
        found = plan(settings.profiles, name, self.mfa)
        if isinstance(found, str):
            return found
        return (yield from fetch_from(found, world))


def plan(
    profiles: Profiles, name: str, mfa: Callable[[str], object] | None = None
) -> ProviderLike | str:
    """What the profile `name` stands for, or why it stands for nothing; raises `CredentialsError` for one that contradicts itself."""
    visited: list[str] = []
    roles: list[Profile] = []
    base = _first_source(profiles, name, visited, roles)
    if isinstance(base, str):
        if len(visited) == 1 and not roles:
            return base
        raise CredentialsError(
            f"profile {visited[0]!r}: its source, profile {visited[-1]!r}, stands for no credentials: {base}"
        )
    for profile in reversed(roles):
        base = profile.role(base, mfa)
    return base


def _first_source(
    profiles: Profiles, name: str, visited: list[str], roles: list[Profile]
) -> ProviderLike | str:
    """Return what signs the first request, or why there is nothing.

    Notes the profiles on the way in `visited`, and those whose roles are asked for in `roles`.
    """
    while True:
        profile = _next(profiles, name, visited)
        if len(visited) > 1 and profile.has_keys():
            return profile.keys() or ""
        source = profile.source()
        if source is not None:
            roles.append(profile)
        if source is None or source == name:
            return profile.base(profiles)
        name = source


def stands_for(profiles: Profiles, name: str) -> str:
    """Return which settings of the profile `name` stand for credentials, empty if there are none.

    Values are left out but for a role's ARN, which is no secret.
    """
    settings = profiles.profile(name)
    if settings is None:
        return ""
    profile = Profile(name, settings)
    if role := profile.get("role_arn"):
        return f"role_arn {role}"
    names = (*SSO, "login_session", "credential_process", "aws_access_key_id")
    return next((name for name in names if profile.get(name)), "")


def _next(profiles: Profiles, name: str, visited: list[str]) -> Profile:
    """The profile `name`, noted as visited."""
    settings = profiles.profile(name)
    if settings is None:
        why = profiles.why_missing(name)
        if not visited:
            raise CredentialsError(f"there is no profile {name!r}{why}")
        source = f"profile {visited[-1]!r} names {name!r} as its source_profile"
        raise CredentialsError(f"{source}, which is not there{why}")
    if name in visited:
        raise CredentialsError(f"profiles go in a circle: {' -> '.join([*visited, name])}")
    visited.append(name)
    if len(visited) > MAX_ROLES:
        raise CredentialsError(f"profile {visited[0]!r} goes through more than {MAX_ROLES} others")
    return Profile(name, settings)


class Profile:
    """One profile, asked what it stands for."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.where = f"profile {name!r}"
        self._settings = settings

    def get(self, name: str) -> str | None:
        """A property, None if there is none or it is empty."""
        value = self._settings.get(name)
        return value if isinstance(value, str) and value else None

    def source(self) -> str | None:
        """Whose credentials its role is asked for with: another profile's, or its own; None if it is no such role."""
        if self.get("role_arn") is None or self.get("web_identity_token_file"):
            return None
        profile, source = self.get("source_profile"), self.get("credential_source")
        if profile and source:
            raise CredentialsError(
                f"{self.where}: source_profile and credential_source contradict each other"
            )
        if not (profile or source):
            raise CredentialsError(
                f"{self.where}: role_arn needs a source_profile or a credential_source"
            )
        return profile or self.name

    def role(self, source: ProviderLike, mfa: Callable[[str], object] | None) -> Role:
        """Its role, asked for with the credentials of `source`."""
        return Role(
            role_arn=self.get("role_arn") or "",
            source=source,
            session_name=self.get("role_session_name"),
            external_id=self.get("external_id"),
            duration=self._duration(),
            mfa_serial=self.get("mfa_serial"),
            mfa=mfa,
        )

    def base(self, profiles: Profiles) -> ProviderLike | str:
        """What it stands for by itself."""
        if source := self.get("credential_source"):
            return self._named(source)
        if token_file := self.get("web_identity_token_file"):
            return self._web_identity(token_file)
        if any(self.get(name) for name in SSO):
            return self._sso(profiles)
        if session := self.get("login_session"):
            from ._login import Login

            return Login(session)
        if command := self.get("credential_process"):
            from ._process import Process

            return Process(command, self.get("aws_account_id"))
        return (
            self.keys()
            or f"profile {self.name!r} has none of role_arn, sso_session, login_session, credential_process and keys"
        )

    def has_keys(self) -> bool:
        """Return whether both halves of a key are set."""
        return bool(self.get("aws_access_key_id") and self.get("aws_secret_access_key"))

    def keys(self) -> Credentials | None:
        """Its keys; raises `CredentialsError` for half of them."""
        return keys(self.get, self.where)

    def _named(self, source: str) -> ProviderLike:
        if source == "Environment":
            from ._static import Environment

            return Environment()
        if source == "EcsContainer":
            from ._container import Container

            return Container()
        if source == "Ec2InstanceMetadata":
            from ._imds import InstanceMetadata

            return InstanceMetadata()
        raise CredentialsError(
            f"{self.where}: credential_source must be Environment, EcsContainer or Ec2InstanceMetadata"
        )

    def _web_identity(self, token_file: str) -> ProviderLike:
        from ._sts import WebIdentity

        role_arn = self.get("role_arn")
        if role_arn is None:
            raise CredentialsError(f"{self.where}: web_identity_token_file needs a role_arn")
        session_name = self.get("role_session_name")
        return WebIdentity(
            role_arn=role_arn,
            token_file=token_file,
            session_name=session_name,
            duration=self._duration(),
        )

    def _sso(self, profiles: Profiles) -> ProviderLike:
        from ._sso import Sso

        name = self.get("sso_session")
        session = None
        if name is not None:
            settings = profiles.sso_session(name)
            if settings is None:
                why = profiles.why_missing(name, "sso-session")
                raise CredentialsError(f"{self.where}: there is no [sso-session {name}]{why}")
            session = Profile(f"[sso-session {name}]", settings)
        account_id, role_name = self.get("sso_account_id"), self.get("sso_role_name")
        if (account_id is None) != (role_name is None):
            raise CredentialsError(
                f"{self.where}: sso_account_id and sso_role_name belong together"
            )
        start_url, region = (
            self._sso_setting("sso_start_url", session),
            self._sso_setting("sso_region", session),
        )
        return Sso(
            start_url=start_url,
            region=region,
            account_id=account_id,
            role_name=role_name,
            session=name,
        )

    def _sso_setting(self, name: str, session: Profile | None) -> str:
        """A property of the session; where there is none, as it once was, the profile's own."""
        value = (session or self).get(name)
        if value is None:
            raise CredentialsError(
                f"{self.where}: {name} is missing{f' in {session.name}' if session else ''}"
            )
        if (self.get(name) or value) != value:
            raise CredentialsError(
                f"{self.where}: its {name} contradicts {session.name if session else 'itself'}"
            )
        return value

    def _duration(self) -> int | None:
        text = self.get("duration_seconds")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 6 and 900 <= int(text) <= 43200):
            raise CredentialsError(
                f"{self.where}: duration_seconds must be a number from 900 to 43200"
            )
        return int(text)
