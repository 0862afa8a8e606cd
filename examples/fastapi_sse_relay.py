"""A FastAPI service that passes a model's stream on as server-sent events.

    uvicorn --app-dir examples fastapi_sse_relay:app     # with AWS_… set
    python examples/fastapi_sse_relay.py                 # against an endpoint on loopback

A dependency opens the stream, so an error before its first byte becomes an HTTP status. Later ones
become an event named `error`. FastAPI leaves the dependency when the response is over, also when
the client has gone: leaving it closes the connection to SageMaker, which ends the call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Annotated, TypeAlias

from fastapi import Body, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

import smruntime_core as sm
from smruntime_core.codecs import as_json
from smruntime_core.notices import Notice
from smruntime_core.payload import ServerSentEvent, encode_sse
from smruntime_transports.asyncio import AsyncClient
from smruntime_transports.client import AsyncResponseStream

ResponseStream: TypeAlias = AsyncResponseStream[sm.InvokeEndpointWithResponseStreamOutput]
notices: list[Notice] = []  # what the client did, for the program below


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncClient(observe=notices.append) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


async def open_stream(
    request: Request, prompt: Annotated[str, Body()], attributes: Annotated[str, Body()] = ""
) -> AsyncIterator[ResponseStream]:
    async with request.app.state.client.invoke_endpoint_with_response_stream(
        "ngram",
        **as_json({"prompt": prompt, "max_tokens": 40, "seed": 7}, accept="text/event-stream"),
        custom_attributes=attributes or None,
    ) as stream:
        yield stream


@app.post("/generate")
async def generate(stream: Annotated[ResponseStream, Depends(open_stream)]) -> StreamingResponse:
    async def relay() -> AsyncIterator[bytes]:
        try:
            async for event in stream.sse():
                yield encode_sse(event)
        except sm.SmRuntimeError as failure:
            yield encode_sse(ServerSentEvent(type(failure).__name__, event="error"))

    return StreamingResponse(relay(), media_type="text/event-stream")


@app.exception_handler(sm.ServiceError)
async def report(request: Request, failure: sm.ServiceError) -> JSONResponse:
    return JSONResponse({"error": failure.code}, status_code=failure.status or 502)


# The program: the service on a port of its own, three requests, and what became of their calls.


def main() -> None:
    import http.client
    import json
    import os
    import threading
    import time

    import uvicorn

    import smruntime_local
    from smruntime_core.notices import StreamEnded

    @contextmanager
    def post(port: int, question: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/generate", json.dumps(question), headers)
        with closing(connection), connection.getresponse() as response:
            yield response

    with smruntime_local.serve() as endpoint:
        credentials = endpoint.credentials
        os.environ |= {
            "AWS_REGION": endpoint.region,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": endpoint.url,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token or "",
        }
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]

        with post(port, {"prompt": "The import"}) as response:
            lines = response.read().decode().splitlines()
            print(response.status, response.getheader("Content-Type"))
            print(*lines[:5], "...", lines[-2], sep="\n")

        with post(port, {"prompt": "The import", "attributes": "fault=truncate@2"}) as response:
            print(*response.read().decode().splitlines()[-3:], sep="\n")

        with post(port, {"prompt": "The import", "attributes": "delay=0.1"}) as response:
            print("one event, then the client leaves:", response.readline().decode().strip())
        while len(ended := [n for n in notices if isinstance(n, StreamEnded)]) < 3:
            time.sleep(0.01)
        print("how the calls ended:", *(notice.outcome for notice in ended))
        print("events of the last one:", ended[-1].events, "of 41")

        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
