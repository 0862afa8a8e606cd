"""The blocking clients under gevent and eventlet, which replace sockets and threads by greenlets.

`tools/test-green` runs these tests, in an environment of their own (dependency group `green`). Each
combination of library, moment of patching, scheme and transport has a process of its own, since
patching cannot be undone. "late" is after the client and `ssl` were imported. A manager with
`ca_certs` is left out there: urllib3 itself fails to make its context (see the module `urllib3`).
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from smruntime_core import service
from smruntime_core.streaming import PayloadPart

from .servers import OK, Peer, acting

pytest.importorskip("gevent", reason="see tools/test-green")
pytest.importorskip("eventlet", reason="see tools/test-green")

SECONDS = 0.3  # that the server takes for a response
CALLS = 10

FRAME = service.event(PayloadPart(b"abc"))
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(FRAME), FRAME)
)

PATCH = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
SPAWN = {
    "gevent": "import gevent; from gevent import spawn, sleep; wait = lambda one: one.get()",
    "eventlet": "from eventlet import spawn, sleep; wait = lambda one: one.wait()",
}
IMPORTS = """
import ssl, select, socket, threading
import smruntime_core
from smruntime_transports.{adapter} import Client
"""
MAIN = """
import json, sys, time
from smruntime_core import Credentials, InvokeEndpoint, RetryPolicy, Timeouts
from smruntime_transports import TLS
from smruntime_transports.{adapter} import Client
{spawn}
url, ca_bundle, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = Client(
    region="eu-west-1", endpoint_url=url, credentials=lambda: Credentials("A", "s"),
    tls=TLS(ca_bundle=ca_bundle), retries=RetryPolicy(max_attempts=1),
)
ticks = 0

def tick():
    global ticks
    while True:
        sleep(0.02)
        ticks += 1

def call():
    return client.invoke_endpoint(endpoint_name="e", body=b"1").body.decode()

def call_late():
    try:
        client.with_options(timeout=0.1).invoke_endpoint(endpoint_name="e", body=b"1")
    except TimeoutError as error:
        return error.kind

first = call()
begun = time.monotonic()
late = wait(spawn(call_late))
late_seconds = time.monotonic() - begun
spawn(tick)
begun = time.monotonic()
bodies = [wait(one) for one in [spawn(call) for _ in range(calls)]]
seconds = time.monotonic() - begun
with client.invoke_endpoint_with_response_stream(endpoint_name="e", body=b"1") as stream:
    streamed = b"".join(stream.bytes()).decode()
client.close()
print(json.dumps([first, bodies, streamed, late, late_seconds, seconds, ticks]))
"""


@pytest.fixture(scope="module")
def ca_bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("green") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(params=["http", "https"])
def url(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[str]:
    """Yield the URL of a slow server by name, which the client resolves in another thread."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def act(peer: Peer) -> None:
        if request.param == "https":
            peer.connection = context.wrap_socket(peer.connection, server_side=True)
        with peer.connection:
            while head := peer.read():
                time.sleep(SECONDS)
                peer.send(STREAM if b"/invocations-response-stream " in head else OK)

    with acting(act) as stage:
        yield stage.url.replace("http://127.0.0.1", f"{request.param}://localhost")


def run_greenlets(library: str, patch: str, adapter: str, url: str, ca_bundle: str) -> list[Any]:
    """Run a program in a process of its own and return what it prints."""
    imports = IMPORTS.format(adapter=adapter)
    begin = [PATCH[library], imports] if patch == "early" else [imports, PATCH[library]]
    program = "\n".join([*begin, MAIN.format(adapter=adapter, spawn=SPAWN[library])])
    # eventlet says that it is deprecated, and gevent that `ssl` was imported before
    command = [sys.executable, "-P", "-W", "ignore", "-c", program, url, ca_bundle, str(CALLS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("adapter", ["sockets", "urllib3"])
@pytest.mark.parametrize("patch", ["early", "late"])
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_calls_in_greenlets_run_at_the_same_time_and_keep_deadlines(
    library: str, patch: str, adapter: str, url: str, ca_bundle: str
) -> None:
    first, bodies, streamed, late, late_seconds, seconds, ticks = run_greenlets(
        library, patch, adapter, url, ca_bundle
    )
    assert first == streamed == "abc"
    assert bodies == ["abc"] * CALLS
    assert late == "timeout", "a call with timeout=0.1 did not end by it"
    assert late_seconds < SECONDS, f"timeout=0.1 ended the call after {late_seconds:.2f} s"
    assert seconds < SECONDS * CALLS / 2, f"{CALLS} calls took turns: {seconds:.2f} s"
    assert ticks > 3, "no other greenlet ran during the calls"
