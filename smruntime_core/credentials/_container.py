"""The credentials endpoint of a container: ECS, EKS Pod Identity, or a custom agent.

The address comes from the environment and the answer is secret, so an address is accepted only if
no other machine can listen on the way: https, the loopback interface, and the addresses that ECS
and EKS use. The check is on the host that is connected to. Of host names only `localhost` is
accepted without https; redirects are not followed, and no proxy is used.
"""

from __future__ import annotations

from typing import Final

from ..effects import Flow
from ..errors import CredentialsError, DispatchFailure
from ..values._credentials import Credentials
from ..values._http import Request
from ..values._url import split_authority, split_url
from ._context import CredentialsErrorContext, ProviderContext, SecretToken, Source, read_token_file
from ._documents import explain_json_refusal, parse_credentials, parse_json_object
from ._metadata_limits import TIMEOUT_VARIABLE, container_limits, describe_dispatch_failure
from ._services import send_with_retries

ECS_HOST: Final = "169.254.170.2"
TRUSTED_HOSTS: Final = frozenset((ECS_HOST, "169.254.170.23", "fd00:ec2::23"))
RELATIVE_URI: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL_URI: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
AUTHORIZATION_VARIABLE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
AUTHORIZATION_FILE_VARIABLE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
ENDPOINT_DESCRIPTION: Final = "the container's endpoint"
TIMEOUT_REMEDY: Final = f"the agent may be busy: allow more time with {TIMEOUT_VARIABLE}"


class Container(Source):
    """The credentials that the container's endpoint issues."""

    name = "container"

    def look(self, context: ProviderContext) -> Flow[Credentials | str]:
        """Return the credentials, or say why there are none; raise `CredentialsError`."""
        url = endpoint_url(context)
        if url is None:
            return f"neither {RELATIVE_URI} nor {FULL_URI} is set"
        limits = container_limits(context)
        token = yield from _authorization_token(context)
        server = "://".join(split_url(url)[:2])  # without the path, which names the task's role

        def describe(failure: DispatchFailure) -> str:
            return describe_dispatch_failure(failure, server, limits.seconds, TIMEOUT_REMEDY)

        def make_request() -> Request:
            authorization = (("authorization", token.value),) if token else ()
            return Request("GET", url, (("accept", "application/json"), *authorization))

        response = yield from send_with_retries(
            make_request,
            context,
            ENDPOINT_DESCRIPTION,
            limits=limits,
            explain=explain_json_refusal,
            describe=describe,
            direct=True,
        )
        document = parse_json_object(response.body, ENDPOINT_DESCRIPTION)
        return parse_credentials(document, ENDPOINT_DESCRIPTION)


def endpoint_url(context: ProviderContext) -> str | None:
    """Return the URL of the endpoint, None if the environment has none.

    Raises `CredentialsError` for a URL with an untrusted host.
    """
    relative_uri, full_uri = context.variable(RELATIVE_URI), context.variable(FULL_URI)
    if relative_uri is not None:
        if not relative_uri.startswith("/"):
            raise CredentialsError(f"{RELATIVE_URI} must begin with a slash")
        full_uri = f"http://{ECS_HOST}{relative_uri}"
    if full_uri is None:
        return None
    variable = FULL_URI if relative_uri is None else RELATIVE_URI
    with CredentialsErrorContext(variable):
        scheme, authority, _, _ = split_url(full_uri)
        host, _ = split_authority(scheme, authority)
    if scheme == "http" and not is_trusted_host(host):
        raise CredentialsError(
            f"{variable}: http is accepted only for a loopback address and for "
            f"{', '.join(sorted(TRUSTED_HOSTS))}; use https for other hosts"
        )
    return full_uri


def is_trusted_host(host: str) -> bool:
    """Return whether no other machine can listen on the way to `host`.

    That is `localhost`, and loopback and container addresses in their full notation.
    """
    import ipaddress  # imported late: only containers need it

    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # Before Python 3.13, `is_loopback` does not look inside IPv4-mapped addresses.
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or str(address) in TRUSTED_HOSTS


def _authorization_token(context: ProviderContext) -> Flow[SecretToken | None]:
    """Return the token in the file, else the one in the environment, None if there is none."""
    token_file = context.variable(AUTHORIZATION_FILE_VARIABLE)
    token = context.environ.get(AUTHORIZATION_VARIABLE)
    if token_file is not None:
        return (yield from read_token_file(token_file, AUTHORIZATION_FILE_VARIABLE))
    return SecretToken(token, AUTHORIZATION_VARIABLE) if token else None
