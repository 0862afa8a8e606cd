"""Which argument was meant: names of boto3 and of other clients, and misspellings.

Imported when an argument is refused. Names are compared without case and underscores, so
`EndpointName` means `endpoint_name`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

MAX_NAME: Final = 60  # characters of an argument's name that a message shows

# Folded names of other clients, each with the arguments here; the first that is known counts.
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "accesskey": ("access_key_id",),
    "awsaccesskeyid": ("access_key_id",),
    "awsprofile": ("profile",),
    "awsregion": ("region",),
    "awssecretaccesskey": ("secret_access_key",),
    "awssessiontoken": ("session_token",),
    "baseurl": ("endpoint_url",),
    "connecttimeout": ("connect",),
    "content": ("body",),
    "data": ("body",),
    "endpoint": ("endpoint_name", "endpoint_url"),
    "headers": ("extra_headers",),
    "host": ("endpoint_url",),
    "input": ("body",),
    "inputs": ("body",),
    "inputs3uri": ("input_location",),
    "maxpoolconnections": ("max_connections",),
    "maxretries": ("max_attempts",),
    "maxsize": ("max_connections",),
    "mimetype": ("content_type",),
    "payload": ("body",),
    "profilename": ("profile",),
    "read": ("response",),
    "readtimeout": ("response",),
    "regionname": ("region",),
    "secretkey": ("secret_access_key",),
    "token": ("session_token",),
    "totalmaxattempts": ("max_attempts",),
    "url": ("endpoint_url",),
    "usedualstackendpoint": ("use_dualstack",),
    "usefipsendpoint": ("use_fips",),
    "variant": ("target_variant",),
}

_USE_OPTIONS: Final = "it is an option of the client: client.with_options({}=...)"
_INVOKE_ONLY: Final = "leave it out: the API has it for invoke_endpoint only"
_KEYS: Final = "pass credentials=Credentials(access_key_id, secret_access_key, session_token)"
_ATTEMPTS: Final = "pass retries=RetryPolicy(max_attempts=...)"

# Folded names, an argument by which the callable is recognized, and the remedy there.
_REMEDIES: Final[tuple[tuple[str, str, str], ...]] = (
    ("awsaccesskeyid awssecretaccesskey awssessiontoken", "credentials", _KEYS),
    ("accesskey secretkey accesskeyid secretaccesskey sessiontoken", "credentials", _KEYS),
    (
        "config",
        "timeouts",
        "there is no botocore Config here: pass timeouts=Timeouts(...), "
        "retries=RetryPolicy(...), max_connections= or proxy=",
    ),
    (
        "verify cafile cabundle",
        "tls",
        "certificates are always verified: pass tls=TLS(ca_bundle=...) to trust another authority",
    ),
    ("cert clientcert", "tls", "pass tls=TLS(certificate=..., key=...)"),
    ("usessl", "endpoint_url", "write http:// or https:// in endpoint_url="),
    (
        "timeout connecttimeout readtimeout",
        "timeouts",
        "pass timeouts=Timeouts(connect=..., response=..., total=...)",
    ),
    ("maxretries maxattempts retry totalmaxattempts", "retries", _ATTEMPTS),
    ("proxies", "proxy", "pass proxy= with one URL, or trust_env=True to read HTTPS_PROXY"),
    (
        "session botosession boto3session botocoresession",
        "credentials",
        "pass credentials=session: a session of boto3 is accepted there",
    ),
    ("servicename apiversion", "region", "leave it out: a client here has one service"),
    (
        "httpclient transport",
        "observe",
        "pass smruntime_transports.Client(io=...) an object with one method for each effect "
        "(see smruntime_core.effects)",
    ),
    (
        "endpointname body contenttype accept",
        "signing_host",
        "pass it to the call: client.invoke_endpoint(endpoint_name=..., body=...)",
    ),
    ("debug loglevel logger", "observe", "set SMRUNTIME_LOG=debug, or pass observe="),
    ("timeout", "endpoint_name", _USE_OPTIONS.format("timeout")),
    ("headers extraheaders", "endpoint_name", _USE_OPTIONS.format("extra_headers")),
    ("retries", "endpoint_name", _USE_OPTIONS.format("retries")),
    ("idempotent", "endpoint_name", _USE_OPTIONS.format("idempotent")),
    ("waitforcapacity", "endpoint_name", _USE_OPTIONS.format("wait_for_capacity")),
    ("maxbody", "endpoint_name", _USE_OPTIONS.format("max_body")),
    ("timeouts", "endpoint_name", _USE_OPTIONS.format("timeouts")),
    ("progress", "endpoint_name", _USE_OPTIONS.format("progress")),
    (
        "region credentials profile endpointurl",
        "endpoint_name",
        "it is an argument of the client: Client(region=..., credentials=..., endpoint_url=...)",
    ),
    (
        "json",
        "body",
        "encode the value: body=json.dumps(value).encode(), or **as_json(value) of "
        "smruntime_core.codecs",
    ),
    ("targetmodel enableexplanations", "endpoint_name", _INVOKE_ONLY),
)


def suggest(unknown: Sequence[str], known: Collection[str]) -> str:
    """Return the message about `unknown` arguments of a callable that has the `known` ones."""
    meant = [_find_meant(name, known) for name in unknown]
    suggestions = ", ".join(dict.fromkeys(f"{name}=" for name in meant if name))
    remedies = [] if not suggestions else [f"did you mean {suggestions}?"]
    for name, suggestion in zip(unknown, meant, strict=True):
        remedy = None if suggestion else _find_remedy(name, known)
        if remedy and remedy not in remedies:
            remedies.append(remedy)
    if not remedies:
        remedies.append(f"the arguments are {', '.join(known)}")
    shown = ", ".join(repr(name[:MAX_NAME]) for name in unknown)
    plural = "s" if len(unknown) > 1 else ""
    return f"unexpected keyword argument{plural} {shown}: {'; '.join(remedies)}"


def _fold(name: str) -> str:
    return name.replace("_", "").lower()


def _find_meant(name: str, known: Collection[str]) -> str | None:
    """Return the known argument that `name` stands for, None if it is not clear."""
    folded = _fold(name)
    candidates = (*(other for other in known if _fold(other) == folded), *_ALIASES.get(folded, ()))
    meant = next((candidate for candidate in candidates if candidate in known), None)
    if meant is not None or _find_remedy(name, known):
        return meant
    from difflib import get_close_matches

    by_folded_name = {_fold(other): other for other in known}
    close_names = get_close_matches(folded, by_folded_name, 1, 0.7)
    return by_folded_name[close_names[0]] if close_names else None


def _find_remedy(name: str, known: Collection[str]) -> str | None:
    """Return what to do instead of passing `name` to a callable with these arguments."""
    folded = _fold(name)
    return next(
        (remedy for names, mark, remedy in _REMEDIES if folded in names.split() and mark in known),
        None,
    )
