"""How long and how often the metadata services of containers and instances are asked.

    AWS_METADATA_SERVICE_TIMEOUT         metadata_service_timeout          seconds for one try
    AWS_METADATA_SERVICE_NUM_ATTEMPTS    metadata_service_num_attempts     tries of one request

botocore reads both for instance metadata only, and gives a container's endpoint 2 s and 3 tries
whatever they say. Here the variables can also raise (never lower) a container's limits, since the
agent of EKS Pod Identity takes longer on a busy node.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..config._settings import Found
from ..effects import Flow
from ..errors import CredentialsError, DispatchFailure, escape_unprintable
from ._context import ProviderContext
from ._services import TimeLimits, limits_of

TIMEOUT, ATTEMPTS = "AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS"
MAX_SECONDS = 3600
MAX_ATTEMPTS = 100
CONTAINER_SECONDS = 2.0
CONTAINER_TRIES = 3
INSTANCE_SECONDS = 1.0
_BEFORE_SENDING = ("pool", "resolve", "connect", "proxy", "tls")


class InstanceLimits(NamedTuple):
    """Limits for instance metadata; `attempts` is None unless a setting says how many."""

    seconds: float
    attempts: int | None

    def limits(self, tries: int) -> TimeLimits:
        """Return the limits of a request that is tried `tries` times unless a setting says else."""
        return limits_of(self.seconds, self.attempts or tries)


def container_limits(world: ProviderContext) -> TimeLimits:
    """Return the limits of a container's endpoint; raise `CredentialsError` for a bad variable."""
    seconds = _seconds(_variable(world, TIMEOUT), CONTAINER_SECONDS)
    tries = _attempts(_variable(world, ATTEMPTS)) or CONTAINER_TRIES
    return limits_of(max(CONTAINER_SECONDS, seconds), max(CONTAINER_TRIES, tries))


def _variable(world: ProviderContext, name: str) -> Found | None:
    text = world.variable(name)
    return None if text is None else Found(text, name)


def instance_limits(world: ProviderContext) -> Flow[InstanceLimits]:
    """Return the limits of instance metadata; raise `CredentialsError` for a bad setting."""
    settings = yield from world.settings()
    seconds = settings.find((TIMEOUT,), "metadata_service_timeout")
    attempts = settings.find((ATTEMPTS,), "metadata_service_num_attempts")
    return InstanceLimits(_seconds(seconds, INSTANCE_SECONDS), _attempts(attempts))


def _seconds(found: Found | None, default: float) -> float:
    if found is None:
        return default
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", found.value):
        seconds = float(found.value)
        if 0 < seconds <= MAX_SECONDS:
            return seconds
    raise _refusal(found, "metadata_service_timeout", f"seconds above 0 and up to {MAX_SECONDS}")


def _attempts(found: Found | None) -> int | None:
    if found is None:
        return None
    if re.fullmatch("[0-9]{1,3}", found.value) and 1 <= int(found.value) <= MAX_ATTEMPTS:
        return int(found.value)
    rule = f"a whole number from 1 to {MAX_ATTEMPTS}"
    raise _refusal(found, "metadata_service_num_attempts", rule)


def _refusal(found: Found, setting: str, rule: str) -> CredentialsError:
    value = escape_unprintable(found.value[:40])
    return CredentialsError(f"{setting}: must be {rule}; {found.where} says {value!r}")


def described(
    failure: DispatchFailure, server: str, seconds: float, advice: str, cause: str = ""
) -> str:
    """Say whether there was no connection to `server` or no answer on it.

    `cause` is why there may be no connection; `advice` what to do if it was accepted and `seconds`
    passed without an answer.
    """
    timed_out = failure.kind == "timeout"
    within = f" within {seconds:g} s" if timed_out else ""
    detail = f"({failure.kind} in phase {failure.phase})"
    if failure.phase in _BEFORE_SENDING:
        told = f"no connection to {server}{within} {detail}"
        return f"{told}: {cause}" if cause else told
    told = f"connected to {server}, but no answer{within} {detail}"
    return f"{told}; {advice}" if timed_out else told
