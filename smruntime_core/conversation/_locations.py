r"""Decide where an object named by a location is read, and whether the request is signed.

A server names the locations of an asynchronous answer, so they are untrusted input. A signed
request shows its receiver a session token, and an unsigned one can reach services inside a network.
So a location is followed only in four cases:

    location                                          request
    s3://bucket/key                                   signed, to S3 or `s3_endpoint_url`
    https://, a host of S3 in the region              signed
    https:// or http://, `s3_endpoint_url`            signed
    https:// or http://, the endpoint's own origin    unsigned
    https://, any other public name                   unsigned, and to a public address only

Everything else is refused: plain http elsewhere, other ports, user names, IP addresses in any
spelling, names that only a private network resolves, `#` and `\`, and characters that URL parsers
read in different ways. A signed request has a key: without one S3 would list the bucket, and the
list would be taken for the answer.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias

from ..config._endpoints import Config, partition
from ..errors import ConstructionError
from ..signing._canonical import percent_encode
from ..values._url import split_url

MAX_LOCATION: Final = 2048
REMEDY: Final = "or read it with fetch="

Access: TypeAlias = Literal["signed", "endpoint", "public"]

_BUCKET = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?"
_HOST_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_s3_uri = re.compile(rf"s3://({_BUCKET})/([^\ud800-\udfff]+)").fullmatch
_s3_host_bucket = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]").fullmatch
_url = re.compile(
    r"(https?)://([a-zA-Z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](?::[0-9]{1,5})?)"
    r"((?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?)(?:\?([A-Za-z0-9._~!$&'()*+,;=:@%/?-]*))?"
).fullmatch
_public_host = re.compile(rf"(?:{_HOST_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])").fullmatch
_version = re.compile(r"(?:versionId=[A-Za-z0-9._-]+)?").fullmatch

# Names that no public resolver knows (RFC 6761, RFC 8375, RFC 9476, ICANN's reserved `.internal`).
_PRIVATE_NAMES = frozenset(
    (
        "alt",
        "arpa",
        "corp",
        "home",
        "internal",
        "intranet",
        "invalid",
        "lan",
        "local",
        "localdomain",
        "localhost",
        "onion",
        "private",
    )
)


class Location(NamedTuple):
    """The URL of an object and what a request for it may show and reach."""

    url: str
    access: Access


def locate(location: str, config: Config, region: str) -> Location:
    """Return where the object at `location` is; `region` is the one to sign for.

    Raises `ConstructionError` for a location that must not be followed.
    """
    if len(location) > MAX_LOCATION:
        raise _refused(f"at most {MAX_LOCATION} characters long", f"it has {len(location)}")
    if location.startswith("s3://"):
        return Location(_s3_url(location, config, region), "signed")
    if _url(location) is None:
        rule = "s3://bucket/key, or an http(s) URL without user name, blanks, '#' and '\\'"
        raise _refused(f"{rule}, {REMEDY}")
    scheme, authority, path, query = split_url(location)
    origin = scheme, authority
    if origin == split_url(config.url)[:2]:
        return Location(location, "endpoint")
    if _is_own_s3(origin, path, config):
        return _signed(location, path.removeprefix(_s3_prefix(config)), query, in_host=False)
    if scheme == "https" and (bucket := _s3_bucket(authority, region)) is not None:
        return _signed(location, path, query, in_host=bool(bucket))
    return _public(location, scheme, authority)


def _s3_url(location: str, config: Config, region: str) -> str:
    """Return the URL of s3://bucket/key."""
    found = _s3_uri(location)
    if found is None:
        raise _refused("s3://bucket/key, with a key and a valid bucket name")
    bucket, key = found.groups()
    path = "/".join(map(percent_encode, key.split("/")))
    if config.s3_endpoint_url is not None:
        return f"{config.s3_endpoint_url}/{percent_encode(bucket)}/{path}"
    fips, dualstack = "-fips" * config.use_fips, ".dualstack" * config.use_dualstack
    host = f"s3{fips}{dualstack}.{region}.{partition(region)[1]}"
    if _s3_host_bucket(bucket):
        return f"https://{bucket}.{host}/{path}"
    return f"https://{host}/{percent_encode(bucket)}/{path}"


def _s3_bucket(host: str, region: str) -> str | None:
    """Return the bucket in a host of S3 in `region`, "" without one, None for other hosts."""
    name, place = re.escape(region), rf"s3(?:-fips)?(?:\.dualstack)?\.{re.escape(region)}"
    legacy = rf"|s3-{name}" + ("|s3" if region == "us-east-1" else "")
    suffix = re.escape(partition(region)[1])
    buckets = rf"((?:{_HOST_LABEL}\.)*)"
    found = re.fullmatch(rf"{buckets}(?:{place}{legacy})\.{suffix}", host)
    return None if found is None else found[1].rstrip(".")


def _is_own_s3(origin: tuple[str, str], path: str, config: Config) -> bool:
    """Return whether a URL is below `s3_endpoint_url`."""
    if config.s3_endpoint_url is None or origin != split_url(config.s3_endpoint_url)[:2]:
        return False
    return path.startswith(f"{_s3_prefix(config)}/")


def _s3_prefix(config: Config) -> str:
    """Return the path of `s3_endpoint_url` without a slash at its end."""
    return split_url(config.s3_endpoint_url or "")[2].rstrip("/")


def _signed(location: str, path: str, query: str, *, in_host: bool) -> Location:
    """Return a location of S3 if it names an object and nothing else; `in_host`: the bucket too."""
    parts = path.split("/", 1 if in_host else 2)
    if not all(parts[1:]) or len(parts) < (2 if in_host else 3) or not _version(query):
        raise _refused("the URL of an object, with a key and no query but versionId=")
    return Location(location, "signed")


def _public(location: str, scheme: str, authority: str) -> Location:
    """Return a location outside S3 if its host can be public; the IO checks the address."""
    if scheme != "https":
        raise _refused(f"https://, {REMEDY}", "http:// is for the endpoint's own origin")
    name = authority.rpartition(".")[2]
    if not _public_host(authority) or len(authority) > 253 or name in _PRIVATE_NAMES:
        found = "its host is no public name, has a port, or is an IP address"
        raise _refused(f"on S3, on the endpoint's own origin, {REMEDY}", found)
    return Location(location, "public")


def _refused(rule: str, found: str = "") -> ConstructionError:
    return ConstructionError("location", rule, found)
