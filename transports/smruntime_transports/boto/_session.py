"""`client` and `Session`, with the arguments of boto3's."""

from __future__ import annotations

import os

from ._client import SageMakerRuntimeClient, make_client
from ._config import (
    SERVICE_NAMES,
    ClientArguments,
    profile_of_environment,
    region_of_config,
    region_of_environment,
)


def client(
    service_name: str,
    region_name: str | None = None,
    api_version: str | None = None,
    use_ssl: bool | None = True,
    verify: bool | str | os.PathLike[str] | None = None,
    endpoint_url: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    config: object = None,
    aws_account_id: str | None = None,
) -> SageMakerRuntimeClient:
    """Return a client of "sagemaker-runtime", with the arguments of `boto3.client`.

        verify          False to trust any server, or a file of certificates in PEM to trust
        config          `botocore.config.Config`, or an object with some of its attributes
        api_version, aws_account_id   ignored: there is one version, and no use for the account

    What is left out is found in the environment and the files under ~/.aws. Raises
    `NoRegionError`, `PartialCredentialsError`, `UnknownServiceError` for another service, and
    `ConstructionError` (a `ValueError`) for other settings.
    """
    return Session().client(
        service_name,
        region_name,
        api_version,
        use_ssl,
        verify,
        endpoint_url,
        aws_access_key_id,
        aws_secret_access_key,
        aws_session_token,
        config,
        aws_account_id,
    )


class Session:
    """The arguments that several clients share, with the names of `boto3.Session`.

    `botocore_session` may be a session of botocore or boto3: clients ask it for credentials.
    """

    def __init__(
        self,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        region_name: str | None = None,
        botocore_session: object = None,
        profile_name: str | None = None,
        aws_account_id: str | None = None,
    ) -> None:
        self._keys = (aws_access_key_id, aws_secret_access_key, aws_session_token)
        self._botocore_session = botocore_session
        self._profile = profile_name
        self._region = region_name

    @property
    def region_name(self) -> str | None:
        """The region that was given, or that of `botocore_session` or the environment."""
        return self._region or self._region_of_botocore() or region_of_environment()

    @property
    def profile_name(self) -> str:
        """The name of the profile that was given or stands in the environment, or "default"."""
        return self._profile or profile_of_environment() or "default"

    def client(
        self,
        service_name: str,
        region_name: str | None = None,
        api_version: str | None = None,
        use_ssl: bool | None = True,
        verify: bool | str | os.PathLike[str] | None = None,
        endpoint_url: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        config: object = None,
        aws_account_id: str | None = None,
    ) -> SageMakerRuntimeClient:
        """Return a client, with the arguments and errors of `client`."""
        require_service(service_name)
        keys = (aws_access_key_id, aws_secret_access_key, aws_session_token)
        arguments = ClientArguments(
            region_name or region_of_config(config) or self._region or self._region_of_botocore(),
            api_version,
            use_ssl,
            verify,
            endpoint_url,
            *(keys if any(keys) else self._keys),
            config,
        )
        return make_client(arguments, self._profile, self._botocore_session)

    def _region_of_botocore(self) -> str | None:
        session = self._botocore_session
        get_variable = getattr(session, "get_config_variable", None)  # boto3's has none
        region: object = getattr(session, "region_name", None)
        if get_variable is not None:
            region = get_variable("region")
        return region if isinstance(region, str) else None

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.Session region_name={self.region_name!r}>"


def require_service(service_name: str) -> None:
    """Raise `UnknownServiceError` for a service other than SageMaker Runtime."""
    if service_name not in SERVICE_NAMES:
        from .exceptions import UnknownServiceError

        raise UnknownServiceError(
            service_name=service_name, known_service_names=", ".join(SERVICE_NAMES)
        )
