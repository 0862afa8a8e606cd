"""Print which settings and credentials apply, and why.

Secrets are not shown, and nothing is sent except to look for credentials.
"""

from __future__ import annotations

import argparse
import os
import re
import ssl
import sys
from typing import TYPE_CHECKING, Final, TypeAlias

from smruntime_core import ConstructionError, CredentialsError, run
from smruntime_core.config import Configuration, make_config
from smruntime_core.credentials import ProviderContext, resolve
from smruntime_core.values import format_rfc3339

from ..client._setup import read_settings, this_process
from ..connect._tls import TLS
from ..sockets import SocketIO

if TYPE_CHECKING:
    from argparse import _SubParsersAction

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


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor` to the commands."""
    parser = commands.add_parser(
        "doctor",
        help="show which region, endpoint, credentials and files apply, and why",
        description=__doc__,
    )
    parser.add_argument("--profile", help="show what applies with this profile")
    parser.set_defaults(command=run_doctor)


def run_doctor(options: argparse.Namespace) -> int:
    """Print the settings; return 2 if no call can be made with them, otherwise 0."""
    socket_io = SocketIO.reading()
    provider_context = this_process(options.profile)
    configuration = run(read_settings(provider_context), socket_io)
    provider_context.region = configuration.region
    socket_io.wire.trust(configuration.ca_bundle)
    has_credentials, credential_lines = report_credentials(provider_context, socket_io)
    socket_io.wire.close()
    lines = [*report_settings(configuration), *credential_lines, *report_proxies()]
    name_width = max(len(name) for name, _, _ in lines)
    for name, value, source in lines:
        print(f"{name:<{name_width}}  {value}{f'  ({source})' if source else ''}")
    return 0 if _is_usable(configuration) and has_credentials else 2


def _is_usable(configuration: Configuration) -> bool:
    try:
        _ = make_config(configuration).url
        TLS().context(configuration.ca_bundle)
    except ConstructionError as error:
        print(f"\n{error}", file=sys.stderr)
        return False
    return True


def report_credentials(
    provider_context: ProviderContext, socket_io: SocketIO
) -> tuple[bool, list[ReportLine]]:
    """Return whether there are valid credentials, and the result of each source."""
    try:
        resolved = run(resolve(provider_context), socket_io)
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
    credentials_line = ("credentials", shown_credentials, resolved.source)
    return is_valid, [credentials_line, *_report_sources(resolved.tried)]


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
    for member in ("max_attempts", "app_id"):
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
