"""What a user sees of clients: help(), dir(), types, copies, and the host that is signed for."""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
import pydoc
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

import smruntime_core as sm
import smruntime_transports
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3
from smruntime_transports.client import Urllib3Settings, WireClientSettings
from smruntime_transports.client._settings import MEANINGS

from .servers import OK, scripted
from .test_jobs import ANSWER, settings

ROOT = Path(__file__).parents[1]
CLIENTS: dict[str, Any] = {
    "Client": smruntime_transports.Client,
    "AsyncClient": smruntime_transports.AsyncClient,
    "sockets": sockets.Client,
    "urllib3": on_urllib3.Client,
    "asyncio": on_asyncio.AsyncClient,
    "trio": on_trio.AsyncClient,
}
OPERATIONS: dict[str, type[Any]] = {
    "invoke_endpoint": sm.InvokeEndpoint,
    "invoke_endpoint_async": sm.InvokeEndpointAsync,
    "invoke_endpoint_with_response_stream": sm.InvokeEndpointWithResponseStream,
}
METHODS = {
    *OPERATIONS,
    "call",
    "close",
    "credentials",
    "endpoint_url",
    "job",
    "region",
    "session",
    "stream",
    "submit",
    "upload_input",
    "with_options",
}


def help_text(thing: object) -> str:
    return pydoc.plain(pydoc.render_doc(thing))


@pytest.mark.parametrize("name", CLIENTS)
def test_help_of_a_client_explains_every_setting(name: str) -> None:
    kind = Urllib3Settings if name == "urllib3" else WireClientSettings
    shown = " ".join(help_text(CLIENTS[name]).replace("|", " ").split())
    for setting in kind.__annotations__:
        meaning = " ".join(MEANINGS[setting].split())
        assert f"{setting}: {meaning}" in shown, f"help({name}) does not explain {setting}"
    takes_io = name in ("Client", "AsyncClient")
    assert (f"io: {MEANINGS['io']}" in shown) is takes_io


def test_meaning_exists_for_settings_that_exist_only() -> None:
    known = set(WireClientSettings.__annotations__) | set(Urllib3Settings.__annotations__)
    assert set(MEANINGS) == known | {"io"}


@pytest.mark.parametrize("name", ["Client", "AsyncClient"])
@pytest.mark.parametrize("method", OPERATIONS)
def test_help_of_an_operation_explains_every_member(name: str, method: str) -> None:
    function = getattr(CLIENTS[name], method)
    shown = help_text(function)
    for member in inspect.signature(OPERATIONS[method]).parameters:
        assert member in inspect.signature(function).parameters, f"{method} lacks {member}"
        assert f"{member} " in shown.partition("\n\n")[2], f"{method} does not explain {member}"


KEYS = sm.Credentials("AKID", "secret")
FOUND = {"AWS_REGION": "eu-west-3", "AWS_ENDPOINT_URL": "http://127.0.0.1:9/found"}


@pytest.mark.parametrize("name", CLIENTS)
def test_client_says_its_region_and_url_once_they_are_known(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is read at the first call, so its values are not known before."""
    for variable, value in FOUND.items():
        monkeypatch.setenv(variable, value)
    given = CLIENTS[name](region="eu-west-1", endpoint_url="https://proxy.example:8443/sm/")
    found = CLIENTS[name](credentials=KEYS)
    resolved = CLIENTS[name](
        region="eu-west-1", credentials=KEYS, endpoint_resolver=lambda parameters: "http://h"
    )
    copied = found.with_options(timeout=1.0)
    assert (given.region, given.endpoint_url) == ("eu-west-1", "https://proxy.example:8443/sm")
    assert (found.region, found.endpoint_url) == (None, None)
    assert (resolved.region, resolved.endpoint_url) == ("eu-west-1", None)
    prepare(found)
    prepare(resolved)
    for client in (found, copied):
        assert (client.region, client.endpoint_url) == tuple(FOUND.values())
    assert (resolved.region, resolved.endpoint_url) == ("eu-west-1", None)
    assert "eu-west-1" not in repr(resolved), "it does not call the region's host"
    for attribute in ("region", "endpoint_url"):
        with pytest.raises(AttributeError):
            setattr(given, attribute, "x")


def prepare(client: Any) -> None:
    """Read the settings, as the first call does."""
    if isinstance(client, on_trio.AsyncClient):
        trio.run(client.credentials)
    elif isinstance(client, smruntime_transports.AsyncClient):
        asyncio.run(client.credentials())
    else:
        client.credentials()


@pytest.mark.parametrize("name", CLIENTS)
def test_dir_of_a_client_shows_its_public_methods_and_properties_only(name: str) -> None:
    client = CLIENTS[name](region="eu-west-1")
    assert {found for found in dir(client) if not found.startswith("_")} == METHODS


def test_dir_of_outputs_streams_jobs_and_sessions_shows_no_machinery() -> None:
    members = {"body", "content_type", "invoked_production_variant", "custom_attributes"}
    with scripted(OK, ANSWER) as server, sockets.Client(**settings(server.url)) as client:
        output = client.invoke_endpoint(endpoint_name="iris", body=b"1")
        job = client.invoke_endpoint_async(endpoint_name="iris", body=b"1")
        session = client.session("chat")
    visible = {
        type(thing).__name__: {name for name in dir(thing) if not name.startswith("_")}
        for thing in (output, job, session)
    }
    assert visible["InvokeEndpointOutput"] >= members | {"metadata"}
    machinery = {"bindings", "labels", "wire_names", "path", "method", "headers", "rules"}
    assert not visible["InvokeEndpointOutput"] & machinery
    locations = {"output_location", "failure_location"}
    held = {"done", "inference_id", "metadata", "output", "result", "wait"}
    assert visible["Job"] == locations | held
    calls = {"invoke", "invoke_endpoint", "invoke_endpoint_with_response_stream"}
    assert visible["Session"] == calls | {"close", "expires", "id", "open"}


@pytest.mark.parametrize("module", [sm, smruntime_transports, smruntime_transports.client])
def test_dir_of_a_package_shows_its_public_names_only(module: Any) -> None:
    shown = {name for name in dir(module) if not name.startswith("__")} - set(module.__all__)
    others = {name for name in shown if not isinstance(getattr(module, name), ModuleType)}
    assert not others, f"neither in __all__ nor a public module: {others}"
    assert not {name for name in shown if name.startswith("_")}


PROGRAM = """
    import smruntime_core as sm
    from smruntime_core.payload import ServerSentEvent
    from smruntime_core.signing import Difference, Explanation
    from smruntime_transports import AsyncClient, Client, Settings
    from smruntime_transports.client import AsyncJob, AsyncResponseStream, AsyncSession, Job
    from smruntime_transports.client import ResponseStream, Session

    Output = sm.InvokeEndpointWithResponseStreamOutput
    settings: Settings = {"region": "eu-west-1", "timeouts": sm.Timeouts(response=30.0)}

    def hold(client: Client) -> list[str]:
        output: sm.InvokeEndpointOutput = client.invoke_endpoint(endpoint_name="e", body=b"1")
        body: bytes = output.body
        stream: ResponseStream[Output]
        with client.invoke_endpoint_with_response_stream(endpoint_name="e", body=body) as stream:
            events: list[ServerSentEvent] = list(stream.sse())
        job: Job = client.invoke_endpoint_async(endpoint_name="e", input_location="s3://b/k")
        answer: bytes = job.wait(timeout=60.0) if job.done() else b""
        stored: Job = client.job(str(job.output_location), job.failure_location)
        session: Session
        with client.session("e", content_type="text/plain") as session:
            session.invoke(body=answer)
        location: str = client.upload_input("s3://b/k", answer)
        return [session.id, location, *(event.data for event in events), repr(stored)]

    def look(client: Client) -> str:
        try:
            beginning: str = client.invoke_endpoint(endpoint_name="e", body=b"").preview(bytes=9)
        except sm.ServiceError as error:
            explanation: Explanation | None = error.explain()
            if explanation is None:
                return str(error)
            differences: tuple[Difference, ...] = explanation.differences
            return explanation.verdict + "".join(each.hint for each in differences)
        except sm.DispatchFailure as failure:
            failure.add_hint("is the tunnel open?")
            raise
        return beginning

    async def hold_async(client: AsyncClient) -> str:
        session: AsyncSession
        stream: AsyncResponseStream[Output]
        async with client.session("e") as session:
            async with session.invoke_endpoint_with_response_stream(body=b"1") as stream:
                text: list[str] = [piece async for piece in stream.text()]
        job: AsyncJob = await client.invoke_endpoint_async(endpoint_name="e", body=b"1")
        done: bool = await job.done()
        return "".join(text) + str(done)

    hold(Client(**settings).with_options(idempotent=True))
"""


MISTYPED = """
    from smruntime_core import InvokeEndpoint, Timeouts
    from smruntime_transports import AsyncClient, Client

    InvokeEndpoint(EndpointName="e", Body=b"")
    InvokeEndpoint(endpoint_name="e")
    Timeouts(read=5.0)
    Client(region_name="eu-west-1")

    async def open_wrongly(client: AsyncClient) -> None:
        with client:
            pass
        stream = client.invoke_endpoint_with_response_stream(endpoint_name="e", body=b"")
        stream.text()
        async for event in stream:
            pass
"""
MISTYPED_LINES = {5, 6, 7, 8, 11, 14, 15}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("typed") / "program.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return path


def check_types(command: list[str], program: Path, **environment: str) -> None:
    transports = str(ROOT / "transports")
    paths = os.pathsep.join((str(ROOT), transports))
    done = subprocess.run(
        [sys.executable, "-m", *command, program.name],
        cwd=program.parent,
        env={**os.environ, "PYTHONPATH": paths, "MYPYPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_annotated_program_passes_mypy_strict(program: Path) -> None:
    pytest.importorskip("mypy")
    check_types(["mypy", "--strict", "--follow-imports=silent"], program)


def test_annotated_program_passes_pyright_strict(program: Path) -> None:
    pytest.importorskip("pyright")
    (program.parent / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    check_types(["pyright", "--pythonpath", sys.executable], program)


def test_mypy_finds_the_mistakes_that_get_a_message(tmp_path: Path) -> None:
    """What makes those messages at run time must not hide the mistakes from type checkers."""
    pytest.importorskip("mypy")
    path = tmp_path / "mistyped.py"
    path.write_text(textwrap.dedent(MISTYPED))
    with pytest.raises(AssertionError) as found:
        check_types(["mypy", "--strict", "--follow-imports=silent"], path)
    lines = {int(line) for line in re.findall(r"mistyped\.py:(\d+): error", str(found.value))}
    assert lines == MISTYPED_LINES


# ── copies ──


@pytest.mark.parametrize("name", ["sockets", "urllib3", "asyncio", "trio"])
def test_deep_copy_of_what_holds_a_client_shares_its_connections(name: str) -> None:
    client = CLIENTS[name](region="eu-west-1", credentials=sm.Credentials("AKID", "secret"))
    client = client.with_options(timeout=5.0)
    held: dict[str, Any] = {"model": {"client": client, "temperature": 0.5}}
    duplicate = copy.deepcopy(held)["model"]["client"]
    assert duplicate is not client
    assert type(duplicate) is type(client)
    assert (duplicate._settings, duplicate._changes) == (client._settings, client._changes)
    assert duplicate._wire is client._wire


def test_deep_copy_of_a_client_calls_over_the_same_connection() -> None:
    with scripted(OK, OK) as server, sockets.Client(**settings(server.url)) as client:
        client.invoke_endpoint(endpoint_name="iris", body=b"1")
        copy.deepcopy(client).invoke_endpoint(endpoint_name="iris", body=b"1")
        assert server.connections == 1


def test_deep_copy_of_credentials_is_the_same_credentials() -> None:
    credentials = sm.Credentials("AKID", "secret")
    assert copy.deepcopy({"aws": credentials})["aws"] is credentials
    assert copy.copy(credentials) is credentials


# ── a host to sign for ──

BEHIND = "runtime.sagemaker.eu-west-1.amazonaws.com"


def received(request: bytes, url: str) -> sm.Request:
    """Return a request as the endpoint receives it: the proxy has replaced the Host field."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    method, path, _ = line.split(" ")
    pairs = [(name, value) for name, _, value in (field.partition(": ") for field in fields)]
    headers = [(name, BEHIND if name == "Host" else value) for name, value in pairs]
    return sm.Request(method, f"{url}{path}", tuple(headers), body)


@pytest.mark.parametrize("name", ["sockets", "urllib3"])
def test_request_is_signed_for_the_host_behind_a_proxy(name: str) -> None:
    credentials = sm.Credentials("AKID", "secret")
    scope, known = sm.Scope("eu-west-1", "sagemaker"), {"AKID": credentials}
    with scripted(OK) as server:
        make: Callable[..., Any] = CLIENTS[name]
        given = {**settings(server.url), "region": "eu-west-1", "signing_host": BEHIND}
        with make(**given) as client:
            client.invoke_endpoint(endpoint_name="iris", body=b"1")
        (request,) = server.requests
    sent_host = server.url.removeprefix("http://").encode()
    assert b"Host: " + sent_host + b"\r\n" in request, "the proxy is addressed by its own host"
    assert request.lower().count(b"\r\nhost: ") == 1
    arrived = received(request, f"https://{BEHIND}")
    assert sm.verify(arrived, known, scope, now=time.time()) is credentials


@pytest.mark.parametrize("host", ["host.example", "host.example:8443", "[::1]:8443", "127.0.0.1"])
def test_signing_host_may_have_a_port(host: str) -> None:
    assert sm.Config(region="eu-west-1", signing_host=host).signing_host == host


@pytest.mark.parametrize(
    "host", ["", "https://host.example", "host.example/path", "user@host", "a b", "a\r\nb", 5]
)
def test_signing_host_that_is_no_host_is_refused(host: Any) -> None:
    with pytest.raises(sm.ConstructionError, match="signing_host"):
        sm.Config(region="eu-west-1", signing_host=host)
    with pytest.raises(sm.ConstructionError, match="signing_host"):
        sockets.Client(region="eu-west-1", signing_host=host)


def test_application_and_further_text_are_at_the_end_of_the_user_agent() -> None:
    keys = sm.Credentials("AKID", "secret")
    with (
        scripted(OK) as server,
        sockets.Client(
            region="eu-west-1",
            endpoint_url=server.url,
            credentials=keys,
            app_id="my app",
            user_agent_extra="sdk/2.1",
        ) as client,
    ):
        client.invoke_endpoint("churn", body=b"")
    head = server.requests[0].partition(b"\r\n\r\n")[0]
    (line,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"user-agent:")]
    assert line.endswith(b" app/my-app sdk/2.1")


@pytest.mark.parametrize("refused", [{"user_agent_extra": "a\r\nb: c"}, {"app_id": 3}])
def test_text_that_a_user_agent_cannot_hold_is_refused(refused: dict[str, Any]) -> None:
    with pytest.raises(sm.ConstructionError, match=next(iter(refused))):
        sockets.Client(region="eu-west-1", **refused)
