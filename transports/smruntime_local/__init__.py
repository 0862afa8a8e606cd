"""A SageMaker Runtime endpoint on loopback, for tests, demonstrations and work without an account.

It speaks `InvokeEndpoint` over real HTTP/1.1 and verifies every signature as AWS does; there is no way to switch that off.

    iris     a classifier: four measurements a row in (CSV or JSON), probabilities out
    ngram    a language model of Python's own documentation: prompt in, text out
    echo     what a model's container would see
    flaky    answers the first of every two calls with 503, the second as echo does

    with smruntime_local.serve() as endpoint:
        endpoint.url, endpoint.region, endpoint.credentials
"""

from __future__ import annotations

from ._server import Endpoint, serve

__all__ = ["Endpoint", "serve"]
