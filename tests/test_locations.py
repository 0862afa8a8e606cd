"""Which locations of a server are followed, and which requests for them are signed."""

from __future__ import annotations

from typing import Literal, TypeAlias

import pytest

import smruntime_core as sm
from smruntime_core.conversation._locations import MAX_LOCATION, locate
from smruntime_core.effects import Send
from smruntime_transports import sockets
from smruntime_transports.nonblocking._connection import Connection
from smruntime_transports.sockets import SocketIO

from .servers import OK, scripted
from .test_jobs import settings

Verdict: TypeAlias = Literal["signed", "endpoint", "public", "refused"]

REGION = "eu-west-1"
DEFAULT = sm.Config(region=REGION)
LOCAL = sm.Config(region=REGION, endpoint_url="http://127.0.0.1:8080/base")
OWN_S3 = sm.Config(region=REGION, s3_endpoint_url="http://minio.example:9000/s3")
VIRGINIA = sm.Config(region="us-east-1")
CHINA = sm.Config(region="cn-north-1")
S3 = f"s3.{REGION}.amazonaws.com"

# What the client's own region and endpoint allow.
TRUSTED: list[tuple[sm.Config, str, Verdict]] = [
    (DEFAULT, "s3://bucket/key", "signed"),
    (DEFAULT, "s3://bucket/a b/é#?\\.out", "signed"),
    (DEFAULT, f"https://bucket.{S3}/key", "signed"),
    (DEFAULT, f"https://my.dotted.bucket.{S3}/key", "signed"),
    (DEFAULT, f"https://{S3}/bucket/key", "signed"),
    (DEFAULT, f"https://bucket.{S3}/key?versionId=a.b-c_1", "signed"),
    (DEFAULT, f"https://bucket.{S3}:443/key", "signed"),
    (DEFAULT, f"https://bucket.s3.dualstack.{REGION}.amazonaws.com/key", "signed"),
    (DEFAULT, f"https://bucket.s3-fips.{REGION}.amazonaws.com/key", "signed"),
    (DEFAULT, f"https://bucket.s3-{REGION}.amazonaws.com/key", "signed"),
    (VIRGINIA, "https://bucket.s3.amazonaws.com/key", "signed"),
    (CHINA, "https://bucket.s3.cn-north-1.amazonaws.com.cn/key", "signed"),
    (OWN_S3, "http://minio.example:9000/s3/bucket/key", "signed"),
    (OWN_S3, "s3://bucket/key", "signed"),
    (LOCAL, "http://127.0.0.1:8080/async/1", "endpoint"),
    (DEFAULT, "https://runtime.sagemaker.eu-west-1.amazonaws.com/x", "endpoint"),
]

HOSTILE: list[tuple[str, Verdict]] = [
    # other hosts under amazonaws.com, which customers run: never a signature
    ("https://abc123.execute-api.eu-west-1.amazonaws.com/prod/collect", "public"),
    ("https://ec2-1-2-3-4.eu-west-1.compute.amazonaws.com/x", "public"),
    ("https://alb-123.eu-west-1.elb.amazonaws.com/x", "public"),
    ("https://sts.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15", "public"),
    ("https://iam.amazonaws.com/?Action=ListUsers", "public"),
    ("https://bucket.s3-website.eu-west-1.amazonaws.com/key", "public"),
    ("https://bucket.s3-website-eu-west-1.amazonaws.com/key", "public"),
    ("https://x.s3-object-lambda.eu-west-1.amazonaws.com/key", "public"),
    ("https://b.s3.eu-west-1.vpce.amazonaws.com/key", "public"),
    ("https://s3.evil.amazonaws.com/b/key", "public"),
    ("https://amazonaws.com/key", "public"),
    # S3 of another region, another partition, or a name that only looks like S3
    ("https://bucket.s3.us-west-2.amazonaws.com/key", "public"),
    ("https://bucket.s3.amazonaws.com/key", "public"),
    ("https://bucket.s3.cn-north-1.amazonaws.com.cn/key", "public"),
    (f"https://bucket.{S3}.cn/key", "public"),
    (f"https://bucket.{S3}.evil.example/key", "public"),
    (f"https://evil-{S3}/b/key", "public"),
    (f"https://evils3.{REGION}.amazonaws.com/b/key", "public"),
    (f"https://s3.{REGION}xamazonaws.com/b/key", "public"),
    (f"https://s3x{REGION}.amazonaws.com/b/key", "public"),
    ("https://s3.eu-west-1.amazonaws.evil.example/b/key", "public"),
    # S3, but no object: a list, a subresource, another method of signing
    (f"https://bucket.{S3}/", "refused"),
    (f"https://bucket.{S3}", "refused"),
    (f"https://{S3}/bucket", "refused"),
    (f"https://{S3}/bucket/", "refused"),
    (f"https://{S3}//key", "refused"),
    (f"https://bucket.{S3}/key?acl", "refused"),
    (f"https://bucket.{S3}/?list-type=2", "refused"),
    (f"https://bucket.{S3}/key?X-Amz-Signature=0", "refused"),
    # an authority that two parsers read differently
    (f"https://evil.example#.{S3}/b/k", "refused"),
    (f"https://evil.example\\.{S3}/b/k", "refused"),
    (f"https://evil.example\\@{S3}/b/k", "refused"),
    (f"https://evil.example@{S3}/b/k", "refused"),
    (f"https://user:password@bucket.{S3}/k", "refused"),
    (f"https://bucket.{S3}@evil.example/k", "refused"),
    (f"https://evil.example%2f.{S3}/b/k", "refused"),
    (f"https://evil.example%00.{S3}/b/k", "refused"),
    (f"https://evil.example;.{S3}/b/k", "refused"),
    (f"https://evil.example .{S3}/b/k", "refused"),
    (f"https://evil.example\t.{S3}/b/k", "refused"),
    (f"https://evil.example\r\n.{S3}/b/k", "refused"),
    (f"https://bucket.{S3}./k", "refused"),
    (f"https://.{S3}/b/k", "refused"),
    (f"https://bucket..{S3}/k", "refused"),
    (f"https:///bucket.{S3}/k", "refused"),
    (f"https:bucket.{S3}/k", "refused"),
    (f"//bucket.{S3}/k", "refused"),
    (f"https://bucket.{S3}/k#fragment", "refused"),
    (f"https://bucket.{S3}/a\\b", "refused"),
    (f"https://bucket.{S3}/é", "refused"),
    # ports
    (f"https://bucket.{S3}:8443/k", "refused"),
    (f"https://bucket.{S3}:80/k", "refused"),
    (f"https://bucket.{S3}:/k", "refused"),
    (f"https://bucket.{S3}:443:443/k", "refused"),
    ("https://files.example:8443/k", "refused"),
    ("https://files.example:22/k", "refused"),
    # IP addresses in every spelling
    ("https://127.0.0.1/k", "refused"),
    ("https://127.1/k", "refused"),
    ("https://2130706433/k", "refused"),
    ("https://0x7f000001/k", "refused"),
    ("https://0x7f.0.0.1/k", "refused"),
    ("https://0177.0.0.1/k", "refused"),
    ("https://169.254.169.254/latest/meta-data/", "refused"),
    ("https://2852039166/latest/", "refused"),
    ("https://0xa9fea9fe/latest/", "refused"),
    ("https://[::1]/k", "refused"),
    ("https://[::ffff:169.254.169.254]/k", "refused"),
    ("https://[fd00:ec2::254]/k", "refused"),
    ("https://[fe80::1%25eth0]/k", "refused"),
    ("https://10.0.0.1/k", "refused"),
    ("https://192.168.0.1/k", "refused"),
    ("https://8.8.8.8/k", "refused"),
    ("https://0/k", "refused"),
    ("https://1.1.1.1./k", "refused"),
    # names that a private network resolves
    ("https://localhost/k", "refused"),
    ("https://api.localhost/k", "refused"),
    ("https://localhost.localdomain/k", "refused"),
    ("https://metadata/k", "refused"),
    ("https://metadata.google.internal/k", "refused"),
    ("https://ip-10-0-0-1.eu-west-1.compute.internal/k", "refused"),
    ("https://printer.local/k", "refused"),
    ("https://vault.corp/k", "refused"),
    ("https://1.0.0.127.in-addr.arpa/k", "refused"),
    # unicode: IDNA dots, full-width digits, homographs
    ("https://bucket。s3.eu-west-1.amazonaws.com/k", "refused"),
    ("https://bucket．s3.eu-west-1.amazonaws.com/k", "refused"),
    ("https://１２７.0.0.1/k", "refused"),
    ("https://ⓛocalhost/k", "refused"),
    ("https://bucket.s3.eu-west-1.amazonаws.com/k", "refused"),
    (f"https://bucket\u200b.{S3}/k", "refused"),
    (f"https://BUCKET.{S3.upper()}/k", "refused"),
    # plain http, and schemes that are none of ours
    ("http://169.254.169.254/latest/meta-data/iam/security-credentials/role", "refused"),
    ("http://127.0.0.1:2375/containers/json", "refused"),
    ("http://localhost/k", "refused"),
    ("http://files.example/k", "refused"),
    (f"http://bucket.{S3}/k", "refused"),
    ("http://runtime.sagemaker.eu-west-1.amazonaws.com/k", "refused"),
    ("HTTPS://files.example/k", "refused"),
    ("file:///etc/passwd", "refused"),
    ("ftp://files.example/k", "refused"),
    ("gopher://files.example/k", "refused"),
    ("s3n://bucket/key", "refused"),
    ("S3://bucket/key", "refused"),
    ("", "refused"),
    # s3:// without an object, or with a bucket that changes the host
    ("s3://", "refused"),
    ("s3://bucket", "refused"),
    ("s3://bucket/", "refused"),
    ("s3:///key", "refused"),
    ("s3://evil.example#/key", "refused"),
    ("s3://user@bucket/key", "refused"),
    ("s3://bucket:80/key", "refused"),
    ("s3://bucket\\/key", "refused"),
    ("s3://../key", "refused"),
    ("s3://bücket/key", "refused"),
    ("s3://bucket/\ud800", "refused"),
    ("s3://bucket/" + "k" * MAX_LOCATION, "refused"),
    # a public name, unsigned: only its address decides
    ("https://files.example/k", "public"),
    ("https://127.0.0.1.nip.example/k", "public"),
    ("https://xn--bcher-kva.example/k", "public"),
]


def verdict(location: str, config: sm.Config = DEFAULT) -> str:
    try:
        return locate(location, config, config.region).access
    except sm.ConstructionError:
        return "refused"


@pytest.mark.parametrize(("config", "location", "expected"), TRUSTED)
def test_trusted_location_is_followed(config: sm.Config, location: str, expected: Verdict) -> None:
    assert verdict(location, config) == expected


@pytest.mark.parametrize(("location", "expected"), HOSTILE)
def test_hostile_location_is_never_signed_for_and_reaches_public_hosts_only(
    location: str, expected: Verdict
) -> None:
    assert verdict(location) == expected


def test_table_has_at_least_sixty_hostile_locations() -> None:
    assert len({location for location, _ in HOSTILE}) == len(HOSTILE) >= 60


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:8081/async/1",
        "http://127.0.0.1/async/1",
        "https://127.0.0.1:8080/async/1",
        "http://localhost:8080/async/1",
        "http://127.0.0.1:8080@evil.example/async/1",
    ],
)
def test_only_the_very_origin_of_the_endpoint_is_its_own(location: str) -> None:
    assert verdict(location, LOCAL) == "refused"


@pytest.mark.parametrize(
    "location",
    [
        "http://minio.example:9000/other/bucket/key",
        "http://minio.example:9000/s3/bucket",
        "http://minio.example:9000/s3",
        "http://minio.example:9001/s3/bucket/key",
        "https://minio.example:9000/s3/bucket/key",
    ],
)
def test_own_s3_is_trusted_below_its_url_only(location: str) -> None:
    assert verdict(location, OWN_S3) == "refused"


def test_refusal_does_not_quote_a_long_location() -> None:
    with pytest.raises(sm.ConstructionError) as caught:
        locate("https://evil.example#" + "x" * 10_000, DEFAULT, REGION)
    assert len(str(caught.value)) < 300


def test_public_request_is_not_sent_to_a_private_address() -> None:
    """The name was public, but it resolved to loopback."""
    with scripted(OK) as server, sockets.Client(**settings(server.url)) as client:
        assert client._wire is not None
        io = SocketIO(client._wire)
        with pytest.raises(sm.DispatchFailure, match="not a public address") as caught:
            io.send(Send(sm.Request("GET", server.url), public=True))
        assert (caught.value.kind, caught.value.delivery) == ("refused", "not_sent")
        assert server.requests == []
        assert io.send(Send(sm.Request("GET", server.url))).status == 200
        with pytest.raises(sm.DispatchFailure, match="not a public address"):
            io.send(Send(sm.Request("GET", server.url), public=True))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00:ec2::254", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::93.184.216.34", True),  # NAT64, as where there is no IPv4
        ("64:ff9b::169.254.169.254", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b:1::10.0.0.1", False),
        ("2002:a00:1::1", False),  # 6to4 of 10.0.0.1
        ("2002:5db8:d822::1", False),
        ("2001:0:a00:1::1", False),  # Teredo
        ("::10.0.0.1", False),
        ("::ffff:0:10.0.0.1", False),
        ("ff0e::1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to refuse
    ],
)
def test_which_addresses_are_public(address: str, allowed: bool) -> None:
    from smruntime_transports.wire._public_address import require_public_address

    class Peer:
        def getpeername(self) -> tuple[str, int]:
            return address, 443

    connection = object.__new__(Connection)
    connection.sock = Peer()  # type: ignore[assignment]  # all of a socket that is used
    connection.watcher = None
    if allowed:
        require_public_address(connection)
    else:
        with pytest.raises(sm.DispatchFailure):
            require_public_address(connection)
