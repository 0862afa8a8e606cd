"""The endpoint that a container has for its credentials: ECS, EKS Pod Identity, or something of one's own.

The address comes from the environment and the answer is a secret, so it is believed only where nobody else can listen: anything
over https, else the loopback interface and the addresses that ECS and EKS have for this. What is compared is the host that will be
connected to; no name but `localhost` is looked up, no redirect followed, no proxy asked.
"""

from __future__ import annotations

from ..effects import Flow
from ..errors import CredentialsError, DispatchFailure
from ..values._credentials import Credentials
from ..values._http import Request
from ..values._url import split_authority, split_url
from ._context import Blaming, ProviderContext, Source, Token, read_token
from ._documents import credentials, explained, json_object
from ._metadata_limits import TIMEOUT, container_limits, described
from ._services import ask

HOST = "169.254.170.2"
HOSTS = frozenset((HOST, "169.254.170.23", "fd00:ec2::23"))
RELATIVE, FULL = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN, TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
BUSY = f"the agent may be busy: allow more time with {TIMEOUT}"


class Container(Source):
    """What the endpoint that the environment names hands out."""

    name = "container"

    def look(self, world: ProviderContext) -> Flow[Credentials | str]:
        """The container's credentials, or why there are none here; raises `CredentialsError`."""
        url = address(world)
        if url is None:
            return f"neither {RELATIVE} nor {FULL} is set"
        limits = container_limits(world)
        token = yield from _token(world)
        server = "://".join(split_url(url)[:2])  # without the path, which names the task's role

        def describe(failure: DispatchFailure) -> str:
            return described(failure, server, limits.seconds, BUSY)

        def make() -> Request:
            headers = (
                ("accept", "application/json"),
                *((("authorization", token.word),) if token else ()),
            )
            return Request("GET", url, headers)

        where = "the container's endpoint"
        response = yield from ask(
            make, world, where, limits=limits, explain=explained, describe=describe, direct=True
        )
        return credentials(json_object(response.body, where), where)


def address(world: ProviderContext) -> str | None:
    """Where to ask, None if the environment names no place; raises `CredentialsError` for one that is not to be trusted."""
    relative, full = world.variable(RELATIVE), world.variable(FULL)
    if relative is not None:
        if not relative.startswith("/"):
            raise CredentialsError(f"{RELATIVE} must begin with a slash")
        full = f"http://{HOST}{relative}"
    if full is None:
        return None
    name = FULL if relative is None else RELATIVE
    with Blaming(name):
        scheme, authority, _, _ = split_url(full)
        host, _ = split_authority(scheme, authority)
    if scheme == "http" and not trusted(host):
        raise CredentialsError(
            f"{name} must be https, or on a loopback address, or one of {', '.join(sorted(HOSTS))}; its host is none"
        )
    return full


def trusted(host: str) -> bool:
    """Nobody else can listen on the way to `host`: an address written in full, or `localhost`."""
    import ipaddress  # only who is in a container pays for it

    if host.lower() == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    found = (
        getattr(found, "ipv4_mapped", None) or found
    )  # from Python 3.13 on `is_loopback` looks there itself
    return found.is_loopback or str(found) in HOSTS


def _token(world: ProviderContext) -> Flow[Token | None]:
    path, word = world.variable(TOKEN_FILE), world.environ.get(TOKEN)
    if path is not None:
        return (yield from read_token(path, TOKEN_FILE))
    return Token(word, TOKEN) if word else None
