"""Your own source of credentials, as a callable and as a flow.

A callable is enough for keys that a function can return. A flow is for sources that need I/O: here
a vault that issues keys for an hour in exchange for the token in a file. The flow is written once;
a sync client and one on asyncio run it.
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
from smruntime_core.codecs import as_csv
from smruntime_core.credentials import ProviderContext, Source
from smruntime_core.effects import Flow, ReadFile, Send
from smruntime_transports import Settings
from smruntime_transports.asyncio import AsyncClient
from smruntime_transports.sockets import Client

VAULT_TOKEN = "open sesame"
IRIS_CALL = sm.InvokeEndpoint("iris", **as_csv([[5.1, 3.5, 1.4, 0.2]]))


class Vault(Source):
    """Keys from the vault at `url`, for the token in the file at `token_path`."""

    name = "vault"

    url: str
    token_path: str

    def look(self, world: ProviderContext) -> Flow[sm.Credentials | str]:
        token = yield from ReadFile(self.token_path)
        if token is None:
            return f"there is no file {self.token_path}"
        headers = (("x-vault-token", token.decode().strip()),)
        response = yield from Send(sm.Request("GET", self.url, headers), timeout=2.0)
        issued = json.loads(response.body)
        expires_at = world.clock.time() + issued["seconds"]
        return sm.Credentials(
            issued["id"], issued["secret"], issued["token"], expires_at=expires_at
        )


def start_vault(credentials: sm.Credentials) -> HTTPServer:
    """Serve a vault on loopback."""

    class VaultHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issued: dict[str, object] = {}
            if self.headers["x-vault-token"] == VAULT_TOKEN:
                issued = {
                    "id": credentials.access_key_id,
                    "secret": credentials.secret_access_key,
                    "token": credentials.session_token,
                    "seconds": 3600,
                }
            body = json.dumps(issued).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            print("the vault was asked")

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), VaultHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def call_with_callable(settings: Settings, credentials: sm.Credentials) -> None:
    with Client(**(settings | {"credentials": lambda: credentials})) as client:
        print("a callable:", client.call(IRIS_CALL).csv())


def call_with_flow(settings: Settings) -> None:
    with Client(**settings) as client:
        started = time.perf_counter()
        for _ in range(100):
            client.call(IRIS_CALL)
        print(f"a flow, blocking: 100 calls in {time.perf_counter() - started:.2f} s")


async def call_with_flow_on_asyncio(settings: Settings) -> None:
    async with AsyncClient(**settings) as client:
        outputs = await asyncio.gather(*(client.call(IRIS_CALL) for _ in range(10)))
        print("the same, on asyncio:", len(outputs), "calls at once")


def call_without_token(settings: Settings) -> None:
    with Client(**settings) as client:
        try:
            client.call(IRIS_CALL)
        except sm.CredentialsError as error:
            print(error.tried[0][0], "--", "there is no file" in str(error))


def main() -> None:
    with smruntime_local.serve() as endpoint, tempfile.TemporaryDirectory() as folder:
        vault_server = start_vault(endpoint.credentials)
        token_path = Path(folder, "token")
        token_path.write_text(f"{VAULT_TOKEN}\n")
        vault_url = f"http://127.0.0.1:{vault_server.server_port}/keys"
        vault = Vault(vault_url, str(token_path))
        settings = Settings(region=endpoint.region, endpoint_url=endpoint.url, credentials=vault)

        call_with_callable(settings, endpoint.credentials)
        call_with_flow(settings)
        asyncio.run(call_with_flow_on_asyncio(settings))
        vault_server.shutdown()
        vault_server.server_close()
        token_path.unlink()
        call_without_token(settings)


if __name__ == "__main__":
    main()
