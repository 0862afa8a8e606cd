"""`doctor`: which settings apply, and why. No secret is shown, and nothing sent but what credentials are asked for with."""

from __future__ import annotations

import argparse
import os
import re
import ssl
import sys
from typing import TYPE_CHECKING

from smruntime_core import ConstructionError, CredentialsError, run
from smruntime_core.config import Configuration, make_config
from smruntime_core.credentials import ProviderContext, resolve
from smruntime_core.values import format_rfc3339

from ..client._setup import read_settings, this_process
from ..connect._tls import TLS
from ..sockets import SocketIO

if TYPE_CHECKING:
    from argparse import _SubParsersAction

HIDDEN = "set, but not shown: not a URL of scheme, host and port"
PROXIES = (
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
)

_HOST = r"(?:[a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?"
# No "@" after the authority: an unescaped "/" in a password would end the authority too early.
_proxy_url = re.compile(rf"([a-zA-Z0-9]+://)?(?:[^@/?#\\]*@)?({_HOST})(?:[/?#][^@]*)?").fullmatch
_PATTERN = r"(?:[a-zA-Z0-9.*_-]+(?::[0-9]{1,5})?|\[?[0-9a-fA-F:.]+\]?)"
_is_host_pattern = re.compile(rf"{_PATTERN}(?:/[0-9]{{1,3}})?").fullmatch


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make `doctor` known."""
    parser = commands.add_parser(
        "doctor",
        help="which region, endpoint, credentials and files apply, and why",
        description=__doc__,
    )
    parser.add_argument("--profile", help="as if this profile were given")
    parser.set_defaults(command=doctor)


def doctor(options: argparse.Namespace) -> int:
    """Print what was found and where; 2 if a call could not be made with it."""
    io = SocketIO.reading()
    world = this_process(options.profile)
    found = run(read_settings(world), io)
    world.region = found.region
    io.wire.trust(found.ca_bundle)
    credentials, told = diagnosis(world, io)
    io.wire.close()
    lines = [*report(found), *told, *proxies()]
    width = max(len(name) for name, _, _ in lines)
    for name, value, where in lines:
        print(f"{name:<{width}}  {value}{f'  ({where})' if where else ''}")
    return 0 if _usable(found) and credentials else 2


def _usable(found: Configuration) -> bool:
    try:
        _ = make_config(found).url
        TLS().context(found.ca_bundle)
    except ConstructionError as error:
        print(f"\n{error}", file=sys.stderr)
        return False
    return True


def diagnosis(world: ProviderContext, io: SocketIO) -> tuple[bool, list[tuple[str, str, str]]]:
    """Whether there are credentials that are good for something, and what each source said."""
    try:
        found = run(resolve(world), io)
    except CredentialsError as error:
        return False, [
            ("credentials", "NONE", ""),
            *((f"  {name}", said.removeprefix(f"{name}: "), "") for name, said in error.tried),
        ]
    keys = found.credentials
    token = " with a session token" if keys.session_token else ""
    until = "" if keys.expires_at is None else f" until {format_rfc3339(keys.expires_at)}"
    valid = keys.expires_at is None or keys.expires_at > world.clock.time()
    until += "" if valid else ": EXPIRED"
    return valid, [
        ("credentials", f"{keys.access_key_id}{token}{until}", found.source),
        *((f"  {n}", said, "") for n, said in found.tried),
    ]


def report(found: Configuration) -> list[tuple[str, str, str]]:
    """Name, value and origin of everything that applies."""
    origins = found.origins
    lines = [(f"file {path}", "read" if there else "not there", "") for path, there in found.files]
    lines.append(("profile", found.profile, origins["profile"]))
    lines.append(
        (
            "region",
            found.region or "NONE",
            origins.get("region", "set AWS_REGION, or region in the profile"),
        )
    )
    lines.append(("endpoint", *_endpoint(found)))
    for member in ("max_attempts", "app_id"):
        if member in origins:
            lines.append((member.replace("_", " "), str(getattr(found, member)), origins[member]))
    lines.append(
        (
            "certificates",
            found.ca_bundle or ssl.get_default_verify_paths().cafile or "the system's",
            origins.get("ca_bundle", ""),
        )
    )
    return lines


def _endpoint(found: Configuration) -> tuple[str, str]:
    try:
        return make_config(found).url, found.origins.get("endpoint_url", "by the region's rules")
    except ConstructionError as error:
        return "NONE", str(error)


def proxies() -> list[tuple[str, str, str]]:
    """Return the proxies that the environment names, which this library ignores by default."""
    return [
        (f"proxy {name}", _shown(name, value), "in the environment; not used unless asked for")
        for name in PROXIES
        if (value := os.environ.get(name))
    ]


def _shown(name: str, value: str) -> str:
    """Return the scheme, hosts and ports in a proxy variable: the rest may be secret."""
    if name.lower() == "no_proxy":
        entries = value.replace(" ", "").split(",")
        return ",".join([entry if _is_host_pattern(entry) else "…" for entry in entries])
    found = _proxy_url(value)
    return f"{found[1] or ''}{found[2]}" if found else HIDDEN
