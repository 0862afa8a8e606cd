"""Profiles as providers: the Rust SDK's cases, then cycles, long chains and invalid settings."""

from __future__ import annotations

from typing import Any

import pytest

from smruntime_core import Credentials, CredentialsError
from smruntime_core.credentials import (
    Container,
    Environment,
    InstanceMetadata,
    Login,
    Process,
    Sso,
    WebIdentity,
)
from smruntime_core.credentials._profile import plan_provider
from smruntime_core.credentials._sts import Role
from smruntime_core.effects import Flow

from .recordings import HOME, WAYS, Recorded, driven, make_context, vectors

NAMED = {
    Environment: "Environment",
    Container: "EcsContainer",
    InstanceMetadata: "Ec2InstanceMetadata",
}


def planned(config: str, name: str) -> Flow[Any]:
    settings = yield from make_context(
        {"AWS_PROFILE": name} if f"[profile {name}]" in config else {}
    ).settings()
    return plan_provider(settings.profiles, name)


def reading(config: str, name: str = "A", way: str = "blocking") -> Any:
    return driven(planned(config, name), Recorded({f"{HOME}/.aws/config": config}), way)


def members(thing: Any, **names: str) -> dict[str, Any]:
    return {
        name: value for name, own in names.items() if (value := getattr(thing, own)) is not None
    }


def as_steps(provider: Any) -> list[dict[str, Any]]:
    """List nested providers as the cases do, the innermost first."""
    if isinstance(provider, Role):
        role = members(
            provider,
            role_arn="role_arn",
            external_id="external_id",
            role_session_name="session_name",
        )
        return [*as_steps(provider.source), {"AssumeRole": role}]
    if isinstance(provider, Credentials):
        keys = members(
            provider,
            access_key_id="access_key_id",
            secret_access_key="secret_access_key",
            account_id="account_id",
        )
        return [{"AccessKey": keys}]
    if isinstance(provider, WebIdentity):
        names = {
            "role_arn": "role_arn",
            "web_identity_token_file": "token_file",
            "role_session_name": "session_name",
        }
        return [{"WebIdentityToken": members(provider, **names)}]
    if isinstance(provider, Sso):
        names = {
            "account_id": "account_id",
            "region": "region",
            "role_name": "role_name",
            "start_url": "start_url",
            "session": "session",
        }
        return [{"Sso": members(provider, **{f"sso_{name}": own for name, own in names.items()})}]
    return [{"NamedSource": NAMED[type(provider)]}]


def as_file(given: Any) -> str:
    """Write the case's profiles as a config file."""
    titles = [(f"profile {name}", section) for name, section in given["profiles"].items()]
    titles += [
        (f"sso-session {name}", section) for name, section in given.get("sso_sessions", {}).items()
    ]
    return "".join(
        f"[{title}]\n" + "".join(f"{k} = {v}\n" for k, v in section.items())
        for title, section in titles
    )


def test_ignored_source_profile_is_named_with_its_line() -> None:
    config = "[profile A]\nrole_arn = r\nsource_profile = r&d\n[profile r&d]\na = b\n"
    with pytest.raises(CredentialsError) as caught:
        reading(config)
    assert "names 'r&d' as its source_profile, which is not in the shared files (" in str(
        caught.value
    )
    assert "config line 4: a name with '&' is ignored" in str(caught.value)


@WAYS
@pytest.mark.parametrize("case", vectors("profile-assume-role.json"))
def test_profile_becomes_the_providers_of_the_rust_sdk(case: Any, way: str) -> None:
    given, expected = case["input"], case["output"]
    if "Error" in expected:
        try:
            found = reading(as_file(given), given["selected_profile"], way)
        except CredentialsError:
            return
        assert isinstance(found, str), "it has no provider, and says why"
    else:
        assert (
            as_steps(reading(as_file(given), given["selected_profile"], way))
            == expected["ProfileChain"]
        )


ROLE = "role_arn = r\n"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            f"[profile A]\n{ROLE}source_profile = B\n[profile B]\n{ROLE}source_profile = A\n",
            "form a cycle: A -> B -> A",
        ),
        (
            f"[profile A]\n{ROLE}source_profile = B\n[profile B]\n{ROLE}source_profile = B\n",
            "has no credentials",
        ),
        (
            "".join(
                f"[profile {'A' if n == 0 else n}]\n{ROLE}source_profile = {n + 1}\n"
                for n in range(9000)
            ),
            "longer than 32",
        ),
        (f"[profile A]\n{ROLE}credential_source = Magic\n", "credential_source must be"),
        (
            f"[profile A]\n{ROLE}source_profile = B\nduration_seconds = 5\n"
            "[profile B]\naws_access_key_id = a\naws_secret_access_key = b\n",
            "900",
        ),
        (
            "[profile A]\nsso_session = s\nsso_region = a\n"
            "[sso-session s]\nsso_region = b\nsso_start_url = u\n",
            "differs",
        ),
        (
            "[profile A]\nsso_session = s\n[sso-session s]\nsso_region = b\n",
            "sso_start_url is missing in [sso-session s]",
        ),
    ],
)
def test_invalid_profile_is_refused_with_the_setting(config: str, says: str) -> None:
    with pytest.raises(CredentialsError) as info:
        reading(config)
    assert says in str(info.value)


@pytest.mark.parametrize(
    ("credential_source", "class_name"),
    [
        ("Environment", "Environment"),
        ("EcsContainer", "Container"),
        ("Ec2InstanceMetadata", "InstanceMetadata"),
    ],
)
def test_role_is_requested_with_credentials_of_its_source(
    credential_source: str, class_name: str
) -> None:
    role = reading(f"[profile A]\n{ROLE}credential_source = {credential_source}\n")
    assert isinstance(role, Role)
    assert type(role.source).__name__ == class_name


def test_profile_with_a_token_file_needs_a_role() -> None:
    with pytest.raises(CredentialsError, match="web_identity_token_file needs a role_arn"):
        reading("[profile A]\nweb_identity_token_file = t\n")
    found = reading(f"[profile A]\n{ROLE}web_identity_token_file = t\n")
    assert type(found).__name__ == "WebIdentity"


def test_role_has_the_settings_of_its_profile() -> None:
    config = (
        f"[profile A]\n{ROLE}credential_source = Environment\nduration_seconds = 1800\n"
        "mfa_serial = arn:mfa\nexternal_id = x\n"
    )
    found = reading(config)
    assert (found.duration, found.mfa_serial, found.external_id) == (1800, "arn:mfa", "x")


def test_profile_can_be_a_program_a_sign_in_or_single_sign_on() -> None:
    both = (
        "[profile A]\ncredential_process = keys\naws_access_key_id = a\n"
        "aws_secret_access_key = b\naws_account_id = 1\n"
    )
    assert reading(both) == Process("keys", "1")
    assert reading(f"{both}login_session = arn:me\n") == Login("arn:me")
    assert (
        reading(
            "[profile A]\nsso_session = s\nsso_region = b\n"
            "[sso-session s]\nsso_region = b\nsso_start_url = u\n"
        ).region
        == "b"
    )


def test_repr_of_planned_providers_shows_no_secret() -> None:
    config = (
        f"[profile A]\n{ROLE}source_profile = B\nexternal_id = hush\n"
        "[profile B]\ncredential_process = p --secret hush\n"
    )
    assert "hush" not in repr(reading(config))
