"""Credentials of your own: a callable, and a flow that asks for files and HTTP, which any client of any colour performs.

The callable is for keys that some function has. The flow is for sources that take I/O: here a vault that gives keys for an hour to
whoever shows the token in a file, written once and run by a client that blocks and by one on asyncio.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import smruntime_core as sm
import smruntime_local
from smruntime_core.credentials import ProviderContext, Source
from smruntime_core.effects import Flow, ReadFile, Send
from smruntime_transports.asyncio import AsyncClient
from smruntime_transports.sockets import Client


class Vault(Source):
    """Keys from the vault at `url`, for the token in the file `path`."""

    name = "vault"

    url: str
    path: str

    def look(self, world: ProviderContext) -> Flow[sm.Credentials | str]:
        token = yield from ReadFile(self.path)
        if token is None:
            return f"there is no file {self.path}"
        response = yield from Send(
            sm.Request("GET", self.url, (("x-vault-token", token.decode().strip()),)), timeout=2.0
        )
        keys = json.loads(response.body)
        return sm.Credentials(
            keys["id"],
            keys["secret"],
            keys["token"],
            expires_at=world.clock.time() + keys["seconds"],
        )


def vault_of(keys: sm.Credentials) -> HTTPServer:
    """A vault on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = {
                "id": keys.access_key_id,
                "secret": keys.secret_access_key,
                "token": keys.session_token,
                "seconds": 3600,
            }
            body = (
                json.dumps(told).encode()
                if self.headers["x-vault-token"] == "open sesame"
                else b"{}"
            )
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            print("the vault was asked")

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    call = sm.InvokeEndpoint(endpoint_name="iris", body=b"5.1,3.5,1.4,0.2", content_type="text/csv")
    with smruntime_local.serve() as endpoint, tempfile.TemporaryDirectory() as folder:
        keys = endpoint.credentials
        server = vault_of(keys)
        path = Path(folder, "token")
        path.write_text("open sesame\n")
        vault = Vault(f"http://127.0.0.1:{server.server_port}/keys", str(path))

        with Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=lambda: keys
        ) as client:
            print("a callable:", client.call(call).body.decode().strip())

        with Client(region=endpoint.region, endpoint_url=endpoint.url, credentials=vault) as client:
            begun = time.perf_counter()
            for _ in range(100):
                client.call(call)
            print(f"a flow, blocking: 100 calls in {time.perf_counter() - begun:.2f} s")

        async def awaited() -> None:
            async with AsyncClient(
                region=endpoint.region, endpoint_url=endpoint.url, credentials=vault
            ) as client:
                outputs = await asyncio.gather(*(client.call(call) for _ in range(10)))
                print("the same, on asyncio:", len(outputs), "calls at once")

        asyncio.run(awaited())
        server.shutdown()
        server.server_close()
        path.unlink()
        with Client(region=endpoint.region, endpoint_url=endpoint.url, credentials=vault) as client:
            try:
                client.call(call)
            except sm.CredentialsError as error:
                print(error.tried[0][0], "--", "there is no file" in str(error))


if __name__ == "__main__":
    main()
