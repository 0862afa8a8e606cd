"""Print which settings and credentials apply, what was passed over, and why.

Secrets are not shown, and nothing is sent except to look for credentials.
"""

from __future__ import annotations

import os
import re
import ssl
from typing import Final, TypeAlias

from smruntime_core import ConstructionError, CredentialsError
from smruntime_core import run as run_flow
from smruntime_core.config import Configuration, make_config
from smruntime_core.credentials import ProviderContext, overridden, resolve
from smruntime_core.values import format_rfc3339

from ..client._setup import read_settings, this_process
from ..connect._tls import TLS
from ..sockets import SocketIO
from ._guard import print_output, require_output
from ._parser import CommandParser
from ._terminal import print_error
from ._unused import this_environment

ReportLine: TypeAlias = "tuple[str, str, str]"  # name, value, source

HIDDEN_PROXY: Final = "set, but not shown: not a URL of scheme, host and port"
PROXY_VARIABLES: Final = (
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
)

_HOST_PATTERN: Final = r"(?:[a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?"
# No "@" after the authority: an unescaped "/" in a password would end the authority too early.
_match_proxy = re.compile(
    rf"([a-zA-Z0-9]+://)?(?:[^@/?#\\]*@)?({_HOST_PATTERN})(?:[/?#][^@]*)?"
).fullmatch
_NO_PROXY_PATTERN: Final = r"(?:[a-zA-Z0-9.*_-]+(?::[0-9]{1,5})?|\[?[0-9a-fA-F:.]+\]?)"
_is_no_proxy_entry = re.compile(rf"{_NO_PROXY_PATTERN}(?:/[0-9]{{1,3}})?").fullmatch


def run(arguments: list[str], program_name: str) -> int:
    """Print the settings; return 2 if no call can be made with them, otherwise 0."""
    parser = CommandParser(prog=program_name, description=__doc__ or "")
    parser.add_argument("--profile", metavar="NAME", help="show what applies with this profile")
    options = parser.parse_args(arguments)
    require_output()
    socket_io = SocketIO.reading()
    provider_context = this_process(options.profile)
    configuration = run_flow(read_settings(provider_context), socket_io)
    provider_context.region = configuration.region
    socket_io.wire.trust(configuration.ca_bundle)
    has_credentials, credential_lines = report_credentials(provider_context, socket_io)
    socket_io.wire.close()
    lines = [
        *report_settings(configuration),
        *credential_lines,
        *report_proxies(),
        *[(f"variable {name}", remedy, "") for name, remedy in this_environment()],
    ]
    name_width = max(len(name) for name, _, _ in lines)
    for name, value, source in lines:
        print_output(f"{name:<{name_width}}  {value}{f'  ({source})' if source else ''}")
    problem = _find_problem(configuration)
    if problem is not None:
        print_error(f"{program_name}: {problem}")
    return 0 if problem is None and has_credentials else 2


def _find_problem(configuration: Configuration) -> str | None:
    """Return why no client can be made with these settings; None if one can."""
    try:
        _ = make_config(configuration).url
        TLS().context(configuration.ca_bundle)
    except ConstructionError as error:
        return str(error)
    return None


def report_credentials(
    provider_context: ProviderContext, socket_io: SocketIO
) -> tuple[bool, list[ReportLine]]:
    """Return whether there are valid credentials, and the result of each source."""
    try:
        resolved = run_flow(resolve(provider_context), socket_io)
    except CredentialsError as error:
        return False, [("credentials", "NONE", ""), *_report_sources(error.tried)]
    credentials = resolved.credentials
    shown_credentials = credentials.access_key_id
    if credentials.session_token:
        shown_credentials += " with a session token"
    is_valid = True
    if credentials.expires_at is not None:
        shown_credentials += f" until {format_rfc3339(credentials.expires_at)}"
        is_valid = credentials.expires_at > provider_context.clock.time()
    if not is_valid:
        shown_credentials += ": EXPIRED"
    losing_sources = run_flow(overridden(provider_context, resolved.source), socket_io)
    reason = f"passed over: {resolved.source} comes first"
    return is_valid, [
        ("credentials", shown_credentials, resolved.source),
        *_report_sources(resolved.tried),
        *[(f"  {source}", message, reason) for source, message in losing_sources],
    ]


def _report_sources(tried_sources: tuple[tuple[str, str], ...]) -> list[ReportLine]:
    return [
        (f"  {source}", message.removeprefix(f"{source}: "), "")
        for source, message in tried_sources
    ]


def report_settings(configuration: Configuration) -> list[ReportLine]:
    """Return every setting that applies with its source."""
    origins = configuration.origins
    lines = [
        (f"file {path}", "read" if exists else "does not exist", "")
        for path, exists in configuration.files
    ]
    region_source = origins.get("region", "set AWS_REGION, or region in the profile")
    lines.append(("profile", configuration.profile, origins["profile"]))
    lines.append(("region", configuration.region or "NONE", region_source))
    lines.append(("endpoint", *_find_endpoint(configuration)))
    for member in ("max_attempts", "longest_pause", "app_id"):
        if member in origins:
            value = str(getattr(configuration, member))
            lines.append((member.replace("_", " "), value, origins[member]))
    default_certificates = ssl.get_default_verify_paths().cafile or "the system's"
    certificates = configuration.ca_bundle or default_certificates
    lines.append(("certificates", certificates, origins.get("ca_bundle", "")))
    return lines


def _find_endpoint(configuration: Configuration) -> tuple[str, str]:
    try:
        endpoint_url = make_config(configuration).url
    except ConstructionError as error:
        return "NONE", str(error)
    return endpoint_url, configuration.origins.get("endpoint_url", "by the region's rules")


def report_proxies() -> list[ReportLine]:
    """Return the proxies that the environment names, which clients do not use by default."""
    return [
        (f"proxy {name}", _redact_proxy(name, value), "in the environment; not used by default")
        for name in PROXY_VARIABLES
        if (value := os.environ.get(name))
    ]


def _redact_proxy(variable_name: str, value: str) -> str:
    """Return the scheme, hosts and ports in a proxy variable: the rest may be secret."""
    if variable_name.lower() == "no_proxy":
        entries = value.replace(" ", "").split(",")
        return ",".join([entry if _is_no_proxy_entry(entry) else "…" for entry in entries])
    found_proxy = _match_proxy(value)
    return f"{found_proxy[1] or ''}{found_proxy[2]}" if found_proxy else HIDDEN_PROXY
