"""An MLflow model server behind the local endpoint; `tools/test-mlflow` runs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_json
from smruntime_transports.sockets import Client

pytestmark = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="tools/test-mlflow installs MLflow in its own environment"
)
SAVE_MODEL = """
import sys
import mlflow.pyfunc

class Doubling(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["x"] * 2).tolist()

mlflow.pyfunc.save_model(sys.argv[1], python_model=Doubling())
"""
START_SECONDS = 120.0


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    subprocess.run([sys.executable, "-c", SAVE_MODEL, str(folder / "model")], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["--model-uri", str(folder / "model"), "--host", "127.0.0.1", "--port", str(port)]
    # the server starts `uvicorn` by name
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    tracking_uri = f"sqlite:///{folder / 'tracking.db'}"
    variables = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": tracking_uri}
    with subprocess.Popen(
        command, env=variables, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_until_ready(f"http://127.0.0.1:{port}/ping")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urlopen(url, timeout=2.0):  # noqa: S310 - the server that was started
                return
        except (URLError, OSError):
            assert time.monotonic() < deadline, "the server has not started"
            time.sleep(0.2)


def test_mlflow_server_is_a_backend(server_url: str) -> None:
    frame = {"dataframe_split": {"columns": ["x"], "data": [[1], [21]]}}
    with (
        smruntime_local.serve(backends={"doubling": server_url}) as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
    ):
        output = client.invoke_endpoint("doubling", **as_json(frame))
        assert output.json() == {"predictions": [2, 42]}
        with pytest.raises(sm.ModelError) as caught:
            client.invoke_endpoint("doubling", **as_json({"wrong": 1}))
        assert caught.value.original_status_code == 400
