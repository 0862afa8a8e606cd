"""Variables of the environment that look as if they had an effect and have none.

Values are not shown: they may be secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from ..client._logging import LOG_LEVELS, LOG_VARIABLE
from ..connect._unused_variables import BUNDLE_VARIABLES, USE_BUNDLE

READ_VARIABLES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCOUNT_ID",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
    "AWS_ENDPOINT_URL_SIGNIN",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_LOGIN_CACHE_DIRECTORY",
    "AWS_MAX_ATTEMPTS",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    "AWS_METADATA_SERVICE_TIMEOUT",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_RETRY_MODE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SDK_UA_APP_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
EARLIER_NAMES: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY": "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_KEY": "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN": "AWS_SESSION_TOKEN",
}


def find_unused_variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that are set and have no effect, each with what to do instead."""
    level_name = environment.get(LOG_VARIABLE, "").strip()
    if level_name and level_name.upper() not in LOG_LEVELS:
        yield LOG_VARIABLE, "has no effect: its value must be info or debug"
    for name in BUNDLE_VARIABLES:
        if environment.get(name):
            yield name, f"not read: {USE_BUNDLE}"
    for name in sorted(environment):
        if name.startswith("AWS_") and name not in READ_VARIABLES and environment[name]:
            yield name, f"not read{_suggest(name)}"


def this_environment() -> list[tuple[str, str]]:
    """Return the variables of this process that have no effect."""
    return list(find_unused_variables(os.environ))


def _suggest(name: str) -> str:
    close_matches = get_close_matches(name, READ_VARIABLES, 1, 0.9)
    suggested_name = EARLIER_NAMES.get(name) or next(iter(close_matches), None)
    return f"; did you mean {suggested_name}?" if suggested_name else ""
