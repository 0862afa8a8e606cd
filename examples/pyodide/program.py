"""The typed client in a browser's Python, over `fetch`. `run.py` and `run.mjs` start it.

`FetchIO` uses the HTTP client of the browser, so no socket is opened. A page would get short-lived
credentials from its own server; SageMaker Runtime sends no CORS headers, so a page also needs a
proxy that adds them (`signing_host=` is for that).
"""

from __future__ import annotations

import io
import os
import sys

import smruntime_core as sm
from smruntime_core.codecs import as_csv, as_json
from smruntime_transports import AsyncClient
from smruntime_transports.http_clients.fetch import FetchIO


async def main() -> None:
    print(f"Python {sys.version.split()[0]} on {sys.platform}")
    url = os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
    async with AsyncClient(io=FetchIO(), endpoint_url=url) as client:
        flower = as_csv([[5.1, 3.5, 1.4, 0.2]], accept="application/json")
        print((await client.invoke_endpoint("iris", **flower)).json())

        output = await client.invoke_endpoint("flaky", body=b"again")
        print("attempts:", [attempt.outcome for attempt in output.metadata.attempts])

        prompt = as_json({"prompt": "The import", "max_tokens": 12, "seed": 7}, accept="text/plain")
        async with client.invoke_endpoint_with_response_stream("ngram", **prompt) as stream:
            pieces = [text async for text in stream.text()]
        print(len(pieces), "pieces:", "".join(pieces))

        impatient = client.with_options(timeouts=sm.Timeouts(idle=0.3))
        try:
            async with impatient.invoke_endpoint_with_response_stream(
                "ngram", **prompt, custom_attributes="fault=stall@3"
            ) as stream:
                await stream.read()
        except sm.DispatchFailure as failure:
            print("failure:", failure.kind, failure.phase, failure.delivery)

        large = io.BytesIO(b"5.1,3.5,1.4,0.2\n" * 20_000)
        output = await client.invoke_endpoint("iris", body=large, content_type="text/csv")
        print("answers:", len(output.text().splitlines()))
