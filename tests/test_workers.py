"""Over to other processes and threads: what may be carried there is, and what must not says why."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import ssl
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import botocore.credentials
import pytest
import urllib3

import smruntime_core as sm
import smruntime_local
from smruntime_core.metadata import Attempt, Metadata
from smruntime_core.notices import RequestBuilt
from smruntime_core.streaming import PayloadPart
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3
from smruntime_transports.connect._tls import TLS

from .callers import CREDENTIALS, count_idle
from .servers import OK, scripted

CLIENTS: dict[str, Any] = {
    "sockets": sockets.Client,
    "urllib3": on_urllib3.Client,
    "trio": on_trio.AsyncClient,
    "asyncio": on_asyncio.AsyncClient,
}
BLOCKING = ("sockets", "urllib3")

RECORDS: list[Any] = [
    sm.InvokeEndpoint(endpoint_name="e", body=b"1", custom_attributes="a=b"),
    sm.InvokeEndpoint(endpoint_name="e", body=bytearray(b"1")),
    sm.InvokeEndpointAsync(endpoint_name="e", input_location="s3://b/k"),
    sm.InvokeEndpoint(endpoint_name="e", body=b"1").request("http://h"),
    sm.Response(200, (("A", "b"),), b"x"),
    sm.InvokeEndpoint(endpoint_name="e", body=b"1").parse(sm.Response(200, (), b"x")),
    sm.Config(region="eu-west-1"),
    sm.Timeouts(connect=1.0),
    sm.RetryPolicy(max_attempts=1),
    sm.Options(timeouts=sm.Timeouts(total=1.0)),
    sm.Scope("eu-west-1", "sagemaker"),
    Metadata(status=200),
    Attempt("ok", 0.1, 0.0, 200, "r"),
    PayloadPart(b"x"),
    RequestBuilt("InvokeEndpoint", "i", "POST", "/p", 1, "e", "eu-west-1", "h"),
    TLS(ca_bundle="b", certificate="c"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_can_be_pickled(record: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(record, protocol))
        assert again == record
        assert type(again) is type(record)
        with pytest.raises(AttributeError):
            again.anything = 1


ERRORS: list[sm.SmRuntimeError] = [
    sm.ConstructionError("body", "bytes"),
    sm.DispatchFailure("m", kind="timeout", phase="proxy", delivery="not_sent"),
    sm.DispatchFailure("m", kind="reset", phase="send", delivery="maybe_sent", bytes_sent=5),
    sm.ModelError("m", status=424, body=b"{}"),
    sm.TruncatedStream("m"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_can_be_pickled(error: sm.SmRuntimeError) -> None:
    again = pickle.loads(pickle.dumps(error.about(Metadata(status=5))))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("name", CLIENTS)
def test_unpickled_client_has_settings_and_options_but_no_connections(name: str) -> None:
    client = CLIENTS[name](
        region="eu-west-1",
        endpoint_url="http://h",
        max_connections=3,
        tls=TLS(ca_bundle="b"),
        trust_env=True,
    )
    client = client.with_options(timeout=5.0, idempotent=True)
    again = pickle.loads(pickle.dumps(client))
    assert type(again) is type(client)
    assert repr(again) == repr(client)
    assert (again._settings, again._changes) == (client._settings, client._changes)
    assert again._wire is not client._wire


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"credentials": CREDENTIALS}, "credentials are not pickled"),
        (
            {"credentials": botocore.credentials.Credentials("AKID", "hush")},
            "credentials are not pickled",
        ),
        (
            {"credentials": botocore.credentials.ReadOnlyCredentials("AKID", "hush", None)},
            "credentials are not pickled",
        ),
        ({"tls": ssl.create_default_context()}, "SSLContext"),
        ({"proxy": "http://me:hush@h"}, "password"),
    ],
)
def test_client_with_a_setting_of_its_process_cannot_be_pickled(
    name: str, setting: dict[str, Any], words: str
) -> None:
    client = CLIENTS[name](region="eu-west-1", **setting)
    with pytest.raises(TypeError, match=words) as caught:
        pickle.dumps(client)
    assert "hush" not in str(caught.value)


def test_client_with_a_pool_manager_cannot_be_pickled() -> None:
    with pytest.raises(TypeError, match="pools"):
        pickle.dumps(on_urllib3.Client(region="eu-west-1", pools=urllib3.PoolManager()))


@pytest.mark.parametrize("name", BLOCKING)
def test_client_works_in_a_pool_of_processes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with smruntime_local.serve() as endpoint:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoint.credentials.access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoint.credentials.secret_access_key)
        if endpoint.credentials.session_token:
            monkeypatch.setenv("AWS_SESSION_TOKEN", endpoint.credentials.session_token)
        client = CLIENTS[name](region=endpoint.region, endpoint_url=endpoint.url)
        with client, ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as workers:
            here = client.invoke_endpoint(endpoint_name="echo", body=b"0")
            there = [
                workers.submit(client.invoke_endpoint, endpoint_name="echo", body=b"%d" % n)
                for n in range(4)
            ]
            assert here.metadata.status == 200
            assert {future.result(60).metadata.status for future in there} == {200}
            with pytest.raises(sm.ServiceError):
                workers.submit(client.invoke_endpoint, endpoint_name="nobody", body=b"").result(60)


def test_copy_of_a_client_shares_its_connections() -> None:
    import copy

    client = sockets.Client(region="eu-west-1", credentials=CREDENTIALS)
    assert copy.copy(client)._wire is client._wire
    assert client.with_options(timeout=1.0)._wire is client._wire


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_does_not_use_its_parents_connection() -> None:
    with scripted(OK, OK, OK) as server:
        client = sockets.Client(
            region="us-east-1", endpoint_url=server.url, credentials=CREDENTIALS
        )
        with client:
            call = sm.InvokeEndpoint(endpoint_name="e", body=b"1")
            client.call(call)
            child = os.fork()
            if not child:
                try:
                    client.call(call)
                    client.close()
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            client.call(call)
        assert server.connections == 2
        assert len(server.requests) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("name", BLOCKING)
def test_a_forked_child_does_not_wait_for_what_its_parent_uses(name: str) -> None:
    """The parent's slot is taken; the child has its own, also after it ends the inherited."""
    with smruntime_local.serve() as endpoint:
        where = {
            "region": endpoint.region,
            "endpoint_url": endpoint.url,
            "credentials": endpoint.credentials,
        }
        with CLIENTS[name](max_connections=1, **where) as client:
            answer = client.invoke_endpoint_with_response_stream(endpoint_name="echo", body=b"1")
            child = os.fork()
            if not child:
                signal.alarm(30)  # or the parent would wait for ever
                failed = True
                try:
                    called = client.invoke_endpoint(endpoint_name="echo", body=b"2").metadata.status
                    list(answer.bytes())
                    (shared,) = client._wire._pool._connections_by_route.values()
                    failed = called != 200 or bool(shared.slot_queue)
                finally:
                    os._exit(failed)
            assert os.waitpid(child, 0)[1] == 0
            answer.close()  # its bytes went to the child
            assert client.invoke_endpoint(endpoint_name="echo", body=b"3").metadata.status == 200


@pytest.mark.parametrize("name", BLOCKING)
def test_many_short_threads_share_one_client(name: str) -> None:
    """Made and closed by one, used by many, its options changed by each."""
    with smruntime_local.serve() as endpoint:
        where = {
            "region": endpoint.region,
            "endpoint_url": endpoint.url,
            "credentials": endpoint.credentials,
        }
        client = CLIENTS[name](max_connections=4, **where)
        barrier = threading.Barrier(12)

        def work(n: int) -> int:
            barrier.wait(10)
            mine = client.with_options(timeout=20.0 + n)
            return sum(
                mine.invoke_endpoint(endpoint_name="echo", body=b"x").metadata.status == 200
                for _ in range(10)
            )

        with client, ThreadPoolExecutor(12) as threads:
            assert list(threads.map(work, range(12))) == [10] * 12
            if name == "sockets":
                assert count_idle(client._wire._pool) <= 4
