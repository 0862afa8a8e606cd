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
FETCH_REMEDY: Final = "or read it with fetch="

Access: TypeAlias = Literal["signed", "endpoint", "public"]

_BUCKET_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?"
_HOST_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_match_s3_uri = re.compile(rf"s3://({_BUCKET_NAME})/([^\ud800-\udfff]+)").fullmatch
_match_host_bucket = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]").fullmatch
_match_url = re.compile(
    r"(https?)://([a-zA-Z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](?::[0-9]{1,5})?)"
    r"((?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?)(?:\?([A-Za-z0-9._~!$&'()*+,;=:@%/?-]*))?"
).fullmatch
_match_public_host = re.compile(
    rf"(?:{_HOST_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])"
).fullmatch
_match_version_query = re.compile(r"(?:versionId=[A-Za-z0-9._-]+)?").fullmatch

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
        raise _refused_location(
            f"at most {MAX_LOCATION} characters long", f"it has {len(location)}"
        )
    if location.startswith("s3://"):
        return Location(_url_of_s3_uri(location, config, region), "signed")
    if _match_url(location) is None:
        required_form = "s3://bucket/key, or an http(s) URL without user name, blanks, '#' and '\\'"
        raise _refused_location(f"{required_form}, {FETCH_REMEDY}")
    url_scheme, authority, path, query_text = split_url(location)
    url_origin = url_scheme, authority
    if url_origin == split_url(config.url)[:2]:
        return Location(location, "endpoint")
    if _is_own_s3(url_origin, path, config):
        return _signed_location(
            location, path.removeprefix(_own_s3_prefix(config)), query_text, bucket_in_host=False
        )
    if url_scheme == "https" and (bucket_name := _bucket_in_s3_host(authority, region)) is not None:
        return _signed_location(location, path, query_text, bucket_in_host=bool(bucket_name))
    return _public_location(location, url_scheme, authority)


def _url_of_s3_uri(location: str, config: Config, region: str) -> str:
    """Return the URL of s3://bucket/key."""
    uri_match = _match_s3_uri(location)
    if uri_match is None:
        raise _refused_location("s3://bucket/key, with a key and a valid bucket name")
    bucket_name, object_key = uri_match.groups()
    path = "/".join(map(percent_encode, object_key.split("/")))
    if config.s3_endpoint_url is not None:
        return f"{config.s3_endpoint_url}/{percent_encode(bucket_name)}/{path}"
    fips_part, dualstack_part = "-fips" * config.use_fips, ".dualstack" * config.use_dualstack
    host_name = f"s3{fips_part}{dualstack_part}.{region}.{partition(region)[1]}"
    if _match_host_bucket(bucket_name):
        return f"https://{bucket_name}.{host_name}/{path}"
    return f"https://{host_name}/{percent_encode(bucket_name)}/{path}"


def _bucket_in_s3_host(host_name: str, region: str) -> str | None:
    """Return the bucket in a host of S3 in `region`, "" without one, None for other hosts."""
    region_pattern, service_pattern = (
        re.escape(region),
        rf"s3(?:-fips)?(?:\.dualstack)?\.{re.escape(region)}",
    )
    legacy_pattern = rf"|s3-{region_pattern}" + ("|s3" if region == "us-east-1" else "")
    domain_suffix = re.escape(partition(region)[1])
    bucket_pattern = rf"((?:{_HOST_LABEL}\.)*)"
    host_match = re.fullmatch(
        rf"{bucket_pattern}(?:{service_pattern}{legacy_pattern})\.{domain_suffix}", host_name
    )
    return None if host_match is None else host_match[1].rstrip(".")


def _is_own_s3(url_origin: tuple[str, str], path: str, config: Config) -> bool:
    """Return whether a URL is below `s3_endpoint_url`."""
    if config.s3_endpoint_url is None or url_origin != split_url(config.s3_endpoint_url)[:2]:
        return False
    return path.startswith(f"{_own_s3_prefix(config)}/")


def _own_s3_prefix(config: Config) -> str:
    """Return the path of `s3_endpoint_url` without a slash at its end."""
    return split_url(config.s3_endpoint_url or "")[2].rstrip("/")


def _signed_location(
    location: str, path: str, query_text: str, *, bucket_in_host: bool
) -> Location:
    """Return a location of S3 if it names an object; its bucket is in the host or the path."""
    path_parts = path.split("/", 1 if bucket_in_host else 2)
    if (
        not all(path_parts[1:])
        or len(path_parts) < (2 if bucket_in_host else 3)
        or not _match_version_query(query_text)
    ):
        raise _refused_location("the URL of an object, with a key and no query but versionId=")
    return Location(location, "signed")


def _public_location(location: str, url_scheme: str, authority: str) -> Location:
    """Return a location outside S3 if its host can be public; the IO checks the address."""
    if url_scheme != "https":
        raise _refused_location(
            f"https://, {FETCH_REMEDY}", "http:// is for the endpoint's own origin"
        )
    last_label = authority.rpartition(".")[2]
    if not _match_public_host(authority) or len(authority) > 253 or last_label in _PRIVATE_NAMES:
        problem = "its host is no public name, has a port, or is an IP address"
        raise _refused_location(f"on S3, on the endpoint's own origin, {FETCH_REMEDY}", problem)
    return Location(location, "public")


def _refused_location(required_form: str, problem: str = "") -> ConstructionError:
    return ConstructionError("location", required_form, problem)
