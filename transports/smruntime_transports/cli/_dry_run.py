"""Print the request of a call and its signature without sending it, and the same call with curl."""

from __future__ import annotations

import argparse
import os
import shlex
import time

from smruntime_core import Credentials, Request, run, sign
from smruntime_core.config import make_config
from smruntime_core.credentials import DefaultChain

from ..client._setup import read_settings, this_process
from ..sockets import SocketIO
from ._operations import AnyOperation


def describe_call(options: argparse.Namespace, operation: AnyOperation) -> str:
    """Return the request, what of it is signed, and curl commands that send it.

    The session token is shown as a shell variable.
    """
    provider_context, socket_io = this_process(options.profile), SocketIO.reading()
    config = make_config(
        run(read_settings(provider_context), socket_io),
        region=options.region,
        endpoint_url=options.endpoint_url,
    )
    provider_context.region = config.region
    credentials = run(DefaultChain().provide(provider_context), socket_io)
    socket_io.wire.close()
    request = operation.request(config.url)
    signature = sign(request, credentials, config.scope, now=time.time())
    signed_request = request.replace(headers=request.headers + signature.headers)
    header_lines = [f"{name}: {value}" for name, value in request.headers]
    sections = {
        "Request": "\n".join([f"{request.method} {request.url}", *header_lines]),
        "Canonical request": _hide_token(signature.canonical_request, credentials),
        "String to sign": signature.string_to_sign,
        "The same with curl, which signs": format_curl(
            request, credentials, config.region, options.data or ""
        ),
        "The same with curl, signed already (for five minutes)": format_curl(
            signed_request, credentials, None, options.data or ""
        ),
    }
    return "\n\n".join(f"# {title}\n{text}" for title, text in sections.items())


def format_curl(
    request: Request, credentials: Credentials, signing_region: str | None, data_option: str
) -> str:
    """Return a curl command that signs for `signing_region`, or sends the headers as they are.

    Secrets are shown as the usual shell variables.
    """
    arguments = ["curl", "--request", request.method, shlex.quote(request.url)]
    if signing_region is not None:
        key_variables = '"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"'
        arguments += ["--aws-sigv4", f"aws:amz:{signing_region}:sagemaker"]
        arguments += ["--user", key_variables]
        if credentials.session_token:
            arguments += ["--header", '"x-amz-security-token: $AWS_SESSION_TOKEN"']
    for name, value in request.headers:
        if value == credentials.session_token:
            arguments += ["--header", f'"{name}: $AWS_SESSION_TOKEN"']
        else:
            arguments += ["--header", shlex.quote(f"{name}: {value}")]
    if not any(name.lower() == "content-type" for name, _ in request.headers):
        arguments += ["--header", "'content-type:'"]  # or curl would add and sign its own
    curl_data = _format_curl_data(data_option, bytes(request.body))
    return " ".join([*arguments, "--data-binary", shlex.quote(curl_data)])


def _format_curl_data(data_option: str, body: bytes) -> str:
    if data_option.startswith("@"):
        return f"@{os.path.abspath(data_option[1:])}"
    return "@-" if data_option == "-" else body.decode("utf-8", "surrogateescape")


def _hide_token(text: str, credentials: Credentials) -> str:
    session_token = credentials.session_token
    return text.replace(session_token, "$AWS_SESSION_TOKEN") if session_token else text
