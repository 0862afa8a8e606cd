"""A SageMaker Runtime on loopback, for tests, demonstrations and work without an account.

It speaks the three operations over real HTTP/1.1 and verifies every signature as AWS does; there is no way to switch that off.

    iris     a classifier: four measurements a row in (CSV or JSON), probabilities out
    ngram    a language model of Python's own documentation: prompt in; text, JSON, JSON lines or server-sent events out
    chat     remembers: in a session it repeats all that was said there
    echo     what a model's container would see
    flaky    answers the first of every two calls with 503, the second as echo does

    with smruntime_local.serve() as endpoint:
        endpoint.url, endpoint.region, endpoint.credentials

`serve(backends={"mine": "http://127.0.0.1:8080"})` adds containers of your own. A streamed call asks in its custom attributes
for parts cut anywhere and for failures, as in "cut=bytes; fault=truncate@3": `_streaming` has the list. Answers of
`InvokeEndpointAsync` are at `endpoint.fetch(location)`, and a GET of the location gives them too.
"""

from __future__ import annotations

from ._server import Endpoint, serve

__all__ = ["Endpoint", "serve"]
