"""The container's endpoint: the Rust SDK's cases, untrusted addresses, bad tokens and answers."""

from __future__ import annotations

import time
from typing import Any

import pytest
import urllib3

from smruntime_core import CredentialsError, Response, run
from smruntime_core.credentials import Container
from smruntime_core.credentials._container import endpoint_url, is_trusted_host
from smruntime_core.effects import Flow
from smruntime_transports import sockets
from smruntime_transports import urllib3 as on_urllib3

from .recordings import WAYS, Exchange, Recorded, driven, make_context, on_sockets, refused, vectors
from .servers import OK, Peer, acting, closed_port, scripted
from .test_proxies import tunnelling

URL = "http://169.254.170.2/keys"
KEYS = (
    b'{"AccessKeyId": "AKID", "SecretAccessKey": "s", "Token": "t", '
    b'"Expiration": "2099-01-31T00:00:00Z"}'
)
HERE = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": URL}


def find_url(environ: dict[str, str]) -> Flow[Any]:
    """Return the URL that the environment names; raise `CredentialsError` if there is none."""
    yield from ()
    url = endpoint_url(make_context(environ))
    if url is None:
        raise CredentialsError("no address")
    return url


@WAYS
@pytest.mark.parametrize(
    "case", vectors("credentials-container-uri.json", lambda data: data["tests"])
)
def test_address_is_accepted_or_refused_as_by_the_rust_sdk(case: Any, way: str) -> None:
    if "Ok" in case["result"]:
        assert driven(find_url(case["env"]), Recorded(), way) == case["result"]["Ok"]
    else:
        with pytest.raises(CredentialsError):
            driven(find_url(case["env"]), Recorded(), way)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/keys",
        "http://169.254.170.2@example.com/keys",
        "http://169.254.170.2.example.com/keys",
        "http://169.254.169.254/keys",
        "http://2852039170/keys",
        "http://0251.0376.0252.02/keys",
        "http://0xa9.0xfe.0xaa.2/keys",
        "http://[::ffff:8.8.8.8]/keys",
        "http://localhost.example.com/keys",
        "http://local\thost/keys",
        "ftp://169.254.170.2/keys",
        "http://127.0.0.1:99999/keys",
        "http:///keys",
        "http://[[::1]]/keys",
        "http://[::1/keys",
        "http://]127.0.0.1[/keys",
        "http://[::ffff:1.2.3.4]/keys",
        "//169.254.170.2/keys",
    ],
)
def test_untrusted_address_is_refused_before_anything_is_sent(url: str) -> None:
    io = Recorded()
    error = refused(
        Container().provide(make_context({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url})), io
    )
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in str(error)
    assert not io.sent


@pytest.mark.parametrize("path", [".example.com/keys", "@example.com/keys", ":80/keys", "keys"])
def test_relative_uri_without_a_slash_is_refused(path: str) -> None:
    assert "slash" in str(
        refused(Container().provide(make_context({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": path})))
    )


ADDRESSES = ["127.0.0.1", "127.255.0.3", "::1", "169.254.170.23", "fd00:ec2::23", "fd00:0ec2::0023"]


@pytest.mark.parametrize(
    "host", [*ADDRESSES, "localhost", "LocalHost", "::ffff:127.0.0.1", "::ffff:169.254.170.2"]
)
def test_loopback_and_container_hosts_are_trusted(host: str) -> None:
    assert is_trusted_host(host)


def test_token_file_wins_over_the_token_variable() -> None:
    environ = {
        **HERE,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "env",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/token",
    }
    for files, token in (({"/token": "file\n"}, "file"),):
        io = Recorded(
            files, [Exchange("GET", URL, Response(200, (), KEYS), {"authorization": token})]
        )
        assert run(Container().provide(make_context(environ)), io).access_key_id == "AKID"
    del environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
    io = Recorded({}, [Exchange("GET", URL, Response(200, (), KEYS), {"authorization": "env"})])
    assert run(Container().provide(make_context(environ)), io).session_token == "t"


@pytest.mark.parametrize(
    "token", ["hush\r\nx-evil: 1", "hush\nx", "hush\x00", "hush é", "h" * 70_000]
)
def test_token_that_does_not_fit_a_header_is_refused(token: str) -> None:
    io = Recorded({"/token": token})
    for more in (
        {"AWS_CONTAINER_AUTHORIZATION_TOKEN": token},
        {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/token"},
    ):
        error = refused(Container().provide(make_context({**HERE, **more})), io)
        assert "AUTHORIZATION_TOKEN" in str(error)
        assert "hush" not in str(error)
    assert not io.sent


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Response(302, (("location", "http://example.com/"),)), "status 302"),
        (
            Response(403, (), b'{"code": "AccessDenied", "message": "not you"}'),
            "AccessDenied: not you",
        ),
        (Response(404, (), b"<html>"), "status 404"),
        (Response(200, (), b"hush"), "not a JSON object"),
        (Response(200, (), b"[" * 100_000), "not a JSON object"),
        (Response(200, (), b"[" * 50_000), "not a JSON object"),
        (Response(200, (), b'["hush"]'), "not a JSON object"),
        (Response(200, (), b'{"AccessKeyId": "A"}'), "no SecretAccessKey"),
        (Response(200, (), KEYS.replace(b"2099-01-31T", b"hush")), "when it expires"),
        (Response(200, (), KEYS.replace(b'"s"', b'"hush\\n"')), "secret_access_key"),
        (Response(200, (), b'{"Code": "Failed", "Message": "why"}'), "Failed: why"),
    ],
)
def test_answer_without_credentials_is_an_error_that_quotes_no_secret(
    answer: Response, says: str
) -> None:
    io = Recorded({}, [Exchange("GET", URL, answer)])
    error = refused(Container().provide(make_context(HERE)), io)
    assert says in str(error)
    assert "hush" not in str(error)
    assert len(io.sent) == 1


def test_server_error_is_retried_up_to_three_times() -> None:
    io = Recorded(
        {},
        [
            Exchange("GET", URL, Response(500)),
            Exchange("GET", URL, Response(503)),
            Exchange("GET", URL, Response(200, (), KEYS)),
        ],
    )
    assert run(Container().provide(make_context(HERE)), io).access_key_id == "AKID"
    assert len(io.slept) == 2
    io = Recorded({}, [Exchange("GET", URL, Response(500))] * 3)
    assert "after 3 tries" in str(refused(Container().provide(make_context(HERE)), io))


# ── over sockets ──


def request_over_sockets(url: str) -> Flow[Any]:
    return Container().provide(
        make_context(
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/keys",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "t0k",
            }
        )
    )


def test_request_has_the_path_and_the_token() -> None:
    with (
        scripted(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(KEYS), KEYS)) as server,
        on_sockets() as io,
    ):
        assert run(request_over_sockets(server.url), io).access_key_id == "AKID"
    (request,) = server.requests
    assert request.startswith(b"GET /keys HTTP/1.1\r\n")
    assert b"\r\nauthorization: t0k\r\n" in request.lower()


@pytest.mark.parametrize("path", ["/ke ys", "/k\xe9ys", "/keys#here", "/\udcff"])
def test_uri_that_is_no_valid_url_is_refused(path: str) -> None:
    with on_sockets() as io:
        error = refused(
            Container().provide(make_context({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": path})), io
        )
    assert "the container's endpoint: url" in str(error)


def test_a_redirect_is_not_followed() -> None:
    with scripted(b"") as elsewhere:
        moved = f"HTTP/1.1 307 x\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n".encode()
        with scripted(moved) as server, on_sockets() as io:
            assert "307" in str(refused(request_over_sockets(server.url), io))
        assert elsewhere.connections == 0


def test_answer_above_the_limit_is_not_read_to_its_end() -> None:
    def pour(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        for _ in range(200):
            peer.send(b"x" * 1_000_000)

    with acting(pour) as stage, on_sockets() as io:
        assert "too_large" in str(refused(request_over_sockets(stage.url), io))
    assert stage.sent < 20_000_000, "more was read than the system's buffers hold"


def test_silent_endpoint_gets_three_attempts_of_two_seconds() -> None:
    with acting(Peer.idle) as stage, on_sockets() as io:
        begun = time.monotonic()
        error = str(refused(request_over_sockets(stage.url), io))
        assert 5.9 < time.monotonic() - begun < 9.0
    assert f"connected to {stage.url}, but no answer within 2 s (timeout in phase head)" in error
    assert "AWS_METADATA_SERVICE_TIMEOUT" in error
    assert "/keys" not in error, "the path may name the role of the task"


def test_agent_that_takes_longer_than_a_second_is_waited_for() -> None:
    def slow(peer: Peer) -> None:
        peer.read()
        time.sleep(1.3)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(KEYS), KEYS))

    with acting(slow) as stage, on_sockets() as io:
        assert run(request_over_sockets(stage.url), io).access_key_id == "AKID"
        assert len(stage.requests) == 1


def test_refused_connection_is_reported_as_no_connection() -> None:
    with closed_port() as url, on_sockets() as io:
        error = str(refused(request_over_sockets(url), io))
    assert f"no connection to {url} (refused in phase connect)" in error
    assert "no answer" not in error


LIMITED = [
    ({}, 2.0, 3),
    ({"AWS_METADATA_SERVICE_TIMEOUT": "5"}, 5.0, 3),
    ({"AWS_METADATA_SERVICE_TIMEOUT": " 12.5 ", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "6"}, 12.5, 6),
    ({"AWS_METADATA_SERVICE_TIMEOUT": "1", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "1"}, 2.0, 3),
]


@pytest.mark.parametrize(("more", "seconds", "tries"), LIMITED)
def test_variables_raise_the_limits_and_never_lower_them(
    more: dict[str, str], seconds: float, tries: int
) -> None:
    io = Recorded()
    assert f"after {tries} tries" in str(
        refused(Container().provide(make_context({**HERE, **more})), io)
    )
    assert [send.timeout for send in io.sent] == [seconds] * tries
    phases = io.sent[0].phases
    assert (phases.connect, phases.response, phases.idle) == (seconds, seconds, seconds)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e3", "3601", "two", "0.0", "1 2"])
def test_bad_timeout_is_refused_with_the_name_of_its_variable(text: str) -> None:
    io = Recorded()
    environ = {**HERE, "AWS_METADATA_SERVICE_TIMEOUT": text}
    error = str(refused(Container().provide(make_context(environ)), io))
    assert f"AWS_METADATA_SERVICE_TIMEOUT says {text!r}" in error
    assert "seconds above 0 and up to 3600" in error
    assert not io.sent


@pytest.mark.parametrize("name", ["urllib3", "urllib3 itself", "sockets"])
def test_no_proxy_sees_the_token(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A client with a proxy fetches its credentials directly."""
    keys = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(KEYS), KEYS)
    with scripted(keys) as here, scripted(OK) as there, tunnelling() as proxy:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{here.url}/keys")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t0k")
        where: Any = {"region": "us-east-1", "endpoint_url": there.url}
        if name == "urllib3 itself":
            client: Any = on_urllib3.Client(pools=urllib3.ProxyManager(proxy.url), **where)
        else:
            client = {"urllib3": on_urllib3.Client, "sockets": sockets.Client}[name](
                proxy=proxy.url, **where
            )
        with client:
            assert client.invoke_endpoint(endpoint_name="e", body=b"").body == b"abc"
        assert len(here.requests) == len(there.requests) == len(proxy.asked) == 1
    assert f":{there.port} ".encode() in proxy.asked[0]
    assert b"t0k" not in proxy.asked[0]
