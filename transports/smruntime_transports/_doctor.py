"""`doctor`: which settings apply, and why. Nothing is sent, and no secret is shown."""

from __future__ import annotations

import argparse
import os
import ssl
import sys
from typing import TYPE_CHECKING

from smruntime_core import ConstructionError, Flow, run
from smruntime_core._config import Configuration, config_of, configuration

from ._tls import TLS
from .sockets import SocketIO

if TYPE_CHECKING:
    from argparse import _SubParsersAction

PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make `doctor` known."""
    parser = commands.add_parser("doctor", help="which region, endpoint, credentials and files apply, and why", description=__doc__)
    parser.add_argument("--profile", help="as if this profile were given")
    parser.set_defaults(command=doctor)


def doctor(options: argparse.Namespace) -> int:
    """Print what was found and where; 2 if a call could not be made with it."""
    found = run(look(options.profile), SocketIO.reading())
    lines = list(report(found))
    width = max(len(name) for name, _, _ in lines)
    for name, value, where in lines:
        print(f"{name:<{width}}  {value}{f'  ({where})' if where else ''}")
    return 0 if found.credentials and _usable(found) else 2


def _usable(found: Configuration) -> bool:
    try:
        _ = config_of(found).url
        TLS().context(found.ca_bundle)
    except ConstructionError as error:
        print(f"\n{error}", file=sys.stderr)
        return False
    return True


def look(profile: str | None) -> Flow[Configuration]:
    """The flow that finds the settings of this process."""
    return configuration(os.environ, profile=profile, home=os.path.expanduser("~"), windows=sys.platform == "win32")


def report(found: Configuration) -> list[tuple[str, str, str]]:
    """Name, value and origin of everything that applies."""
    origins = found.origins
    lines = [(f"file {path}", "read" if there else "not there", "") for path, there in found.files]
    lines.append(("profile", found.profile, origins["profile"]))
    lines.append(("region", found.region or "NONE", origins.get("region", "set AWS_REGION, or region in the profile")))
    lines.append(("endpoint", *_endpoint(found)))
    credentials = found.credentials
    if credentials is None:
        lines.append(("credentials", "NONE", "neither AWS_ACCESS_KEY_ID nor aws_access_key_id in the profile"))
    else:
        token = " with a session token" if credentials.session_token else ""
        lines.append(("credentials", f"{credentials.access_key_id}{token}", origins["credentials"]))
    for member in ("max_attempts", "app_id"):
        if member in origins:
            lines.append((member.replace("_", " "), str(getattr(found, member)), origins[member]))
    lines.append(("certificates", found.ca_bundle or ssl.get_default_verify_paths().cafile or "the system's", origins.get("ca_bundle", "")))
    lines.extend(_proxies())
    return lines


def _endpoint(found: Configuration) -> tuple[str, str]:
    try:
        return config_of(found).url, found.origins.get("endpoint_url", "by the region's rules")
    except ConstructionError as error:
        return "NONE", str(error)


def _proxies() -> list[tuple[str, str, str]]:
    """Proxies that the environment names: this library does not use them unasked, but other programs do."""
    return [
        (f"proxy {name}", value.rpartition("@")[2], "in the environment; not used unless asked for")
        for name in PROXIES
        if (value := os.environ.get(name))
    ]
