"""Timeouts and attempts for the metadata services of containers and instances.

    AWS_METADATA_SERVICE_TIMEOUT         metadata_service_timeout          seconds for one attempt
    AWS_METADATA_SERVICE_NUM_ATTEMPTS    metadata_service_num_attempts     attempts per request

botocore reads both for instance metadata only, and always gives a container's endpoint 2 s and 3
attempts. Here the variables can also raise (never lower) the limits of a container, because the
agent of EKS Pod Identity takes longer on a busy node.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ..config._settings import FoundSetting
from ..effects import Flow
from ..errors import CredentialsError, DispatchFailure, escape_unprintable
from ._context import ProviderContext
from ._services import RequestLimits, uniform_limits

TIMEOUT_VARIABLE: Final = "AWS_METADATA_SERVICE_TIMEOUT"
ATTEMPTS_VARIABLE: Final = "AWS_METADATA_SERVICE_NUM_ATTEMPTS"
MAX_SECONDS: Final = 3600
MAX_ATTEMPTS: Final = 100
CONTAINER_SECONDS: Final = 2.0
CONTAINER_ATTEMPTS: Final = 3
INSTANCE_SECONDS: Final = 1.0
_PHASES_BEFORE_SENDING = ("pool", "resolve", "connect", "proxy", "tls")


class InstanceLimits(NamedTuple):
    """Limits for instance metadata; `attempts` is None if no setting gives their number."""

    seconds: float
    attempts: int | None

    def request_limits(self, default_attempts: int) -> RequestLimits:
        """Return the limits of a request with this default number of attempts."""
        return uniform_limits(self.seconds, self.attempts or default_attempts)


def container_limits(context: ProviderContext) -> RequestLimits:
    """Return the limits of a container's endpoint; raise `CredentialsError` for a bad variable."""
    seconds = _parse_seconds(_find_variable(context, TIMEOUT_VARIABLE), CONTAINER_SECONDS)
    attempts = _parse_attempts(_find_variable(context, ATTEMPTS_VARIABLE)) or CONTAINER_ATTEMPTS
    return uniform_limits(max(CONTAINER_SECONDS, seconds), max(CONTAINER_ATTEMPTS, attempts))


def _find_variable(context: ProviderContext, variable: str) -> FoundSetting | None:
    value = context.variable(variable)
    return None if value is None else FoundSetting(value, variable)


def instance_limits(context: ProviderContext) -> Flow[InstanceLimits]:
    """Return the limits of instance metadata; raise `CredentialsError` for a bad setting."""
    settings = yield from context.settings()
    seconds = settings.find_setting((TIMEOUT_VARIABLE,), "metadata_service_timeout")
    attempts = settings.find_setting((ATTEMPTS_VARIABLE,), "metadata_service_num_attempts")
    return InstanceLimits(_parse_seconds(seconds, INSTANCE_SECONDS), _parse_attempts(attempts))


def _parse_seconds(setting: FoundSetting | None, default: float) -> float:
    if setting is None:
        return default
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", setting.value):
        seconds = float(setting.value)
        if 0 < seconds <= MAX_SECONDS:
            return seconds
    rule = f"seconds above 0 and up to {MAX_SECONDS}"
    raise _invalid_setting(setting, "metadata_service_timeout", rule)


def _parse_attempts(setting: FoundSetting | None) -> int | None:
    if setting is None:
        return None
    if re.fullmatch("[0-9]{1,3}", setting.value) and 1 <= int(setting.value) <= MAX_ATTEMPTS:
        return int(setting.value)
    rule = f"a whole number from 1 to {MAX_ATTEMPTS}"
    raise _invalid_setting(setting, "metadata_service_num_attempts", rule)


def _invalid_setting(setting: FoundSetting, setting_name: str, rule: str) -> CredentialsError:
    value = escape_unprintable(setting.value[:40])
    return CredentialsError(f"{setting_name}: {setting.origin} says {value!r}; must be {rule}")


def describe_dispatch_failure(
    failure: DispatchFailure, server: str, seconds: float, remedy: str, likely_cause: str = ""
) -> str:
    """Say whether there was no connection to `server` or no answer on it.

    `likely_cause` is appended if there was no connection, `remedy` if the server accepted it and
    then did not answer for `seconds`.
    """
    is_timeout = failure.kind == "timeout"
    duration = f" within {seconds:g} s" if is_timeout else ""
    detail = f"({failure.kind} in phase {failure.phase})"
    if failure.phase in _PHASES_BEFORE_SENDING:
        problem = f"no connection to {server}{duration} {detail}"
        return f"{problem}: {likely_cause}" if likely_cause else problem
    problem = f"connected to {server}, but no answer{duration} {detail}"
    return f"{problem}; {remedy}" if is_timeout else problem
