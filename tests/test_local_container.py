"""AWS's container library behind the local endpoint: `model-hosting-container-standards`.

It runs in a process of its own and judges whether our client and endpoint open, use and close
sessions as SageMaker's containers expect.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import smruntime_local
from smruntime_core import ModelError
from smruntime_transports.sockets import Client

PACKAGES = ("model_hosting_container_standards", "fastapi", "uvicorn")
MISSING = [name for name in PACKAGES if find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")

SERVER = """
import socket
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
import model_hosting_container_standards.sagemaker as sagemaker
from model_hosting_container_standards.sagemaker.sessions.manager import get_session_manager
from model_hosting_container_standards.sagemaker.sessions.utils import get_session

app = FastAPI()

@app.get("/ping")
async def ping():
    return Response()

@app.post("/invocations")
@sagemaker.stateful_session_manager()
async def invocations(request: Request):
    session = get_session(get_session_manager(), request)
    texts = [] if session is None else session.get("texts", [])
    texts.append((await request.json())["say"])
    if session is not None:
        session.put("texts", texts)
    if request.headers.get("accept") == "text/event-stream":
        events = (f"data: {text}\\n\\n" for text in texts)
        return StreamingResponse(events, media_type="text/event-stream")
    return texts

sagemaker.bootstrap(app)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[smruntime_local.Endpoint]:
    folder: Path = tmp_path_factory.mktemp("sessions")
    session_variables = {
        "SAGEMAKER_ENABLE_STATEFUL_SESSIONS": "true",
        "SAGEMAKER_SESSIONS_PATH": str(folder),
    }
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **session_variables}
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with smruntime_local.serve(
                backends={"standard": f"http://127.0.0.1:{port}"}
            ) as running:
                yield running
        finally:
            process.terminate()


@pytest.fixture
def client(endpoint: smruntime_local.Endpoint) -> Iterator[Client]:
    with Client(
        region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
    ) as running:
        yield running


def test_session_remembers_until_it_is_closed(
    endpoint: smruntime_local.Endpoint, client: Client
) -> None:
    with client.session("standard") as session:
        name = session.id
        assert session.expires is not None
        assert session.invoke_endpoint(body=b'{"say":"one"}').body == b'["one"]'
        assert session.invoke_endpoint(body=b'{"say":"two"}').body == b'["one","two"]'
        with session.invoke_endpoint_with_response_stream(
            body=b'{"say":"three"}', accept="text/event-stream"
        ) as stream:
            assert [event.data for event in stream.sse()] == ["one", "two", "three"]
    assert endpoint.sessions_opened == 1
    with pytest.raises(ModelError, match="session not found") as caught:
        client.invoke_endpoint(endpoint_name="standard", body=b'{"say":"four"}', session_id=name)
    assert caught.value.original_status_code == 400


def test_call_without_a_session_has_no_memory(client: Client) -> None:
    assert (
        client.invoke_endpoint(endpoint_name="standard", body=b'{"say":"one"}').body == b'["one"]'
    )
    with client.invoke_endpoint_with_response_stream(
        endpoint_name="standard",
        body=b'{"say":"one"}',
        accept="text/event-stream",
        custom_attributes="cut=bytes",
    ) as stream:
        assert stream.content_type == "text/event-stream; charset=utf-8"
        assert [event.data for event in stream.sse()] == ["one"]
