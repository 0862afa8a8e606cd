"""A SageMaker Runtime on loopback, for tests, demonstrations and work without an AWS account.

It serves the three operations over HTTP/1.1 and verifies every signature as AWS does. Verification
cannot be switched off.

    iris     classifies rows of four measurements (CSV or JSON) and returns probabilities
    ngram    continues a prompt like Python's documentation: text, JSON, JSON lines or SSE
    chat     repeats all earlier texts of a stateful session
    echo     returns what the container of a model would receive
    flaky    fails every first call of two with 503, then answers like echo

    with smruntime_local.serve() as endpoint:
        endpoint.url, endpoint.region, endpoint.credentials

`serve(models={"churn": function})` makes a function of a `Call` an endpoint, and `endpoint.calls`
has the calls that the containers received. `serve(backends={"mine": "http://127.0.0.1:8080"})` adds
containers of your own. The custom attributes of a streamed call set how its parts are cut and which
fault ends it, as in "cut=bytes; fault=truncate@3"; `hosting/_stream_behavior.py` lists them.
`endpoint.fetch(location)` returns an output of `InvokeEndpointAsync`, and so does a GET of the
location.

    server/     sockets, threads and limits: which requests arrive, and how fast
    hosting/    one request without sockets: signature, operation, container, response
    models/     the containers: those above, and one behind a URL
    testing     the endpoint for tests of an application; `pytest_plugin` makes fixtures of it
    hostile     a server that plays the scenarios of the transports' contract
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .hosting._config_file import read_config
    from .hosting._endpoint_config import EndpointConfig, InferenceComponent, Variant
    from .hosting._faults import (
        Cut,
        Delay,
        Drip,
        HtmlPage,
        RandomDelay,
        Reply,
        Reset,
        SlowHead,
        StaleConnection,
        UnusedStepsError,
        throttle,
    )
    from .hosting._recorder import Recording
    from .models._call import Call
    from .server._endpoint import Endpoint, serve

__all__ = [
    "Call",
    "Cut",
    "Delay",
    "Drip",
    "Endpoint",
    "EndpointConfig",
    "HtmlPage",
    "InferenceComponent",
    "RandomDelay",
    "Recording",
    "Reply",
    "Reset",
    "SlowHead",
    "StaleConnection",
    "UnusedStepsError",
    "Variant",
    "read_config",
    "serve",
    "throttle",
]

_MODULES = {
    ".hosting._config_file": ("read_config",),
    ".hosting._endpoint_config": ("EndpointConfig", "InferenceComponent", "Variant"),
    ".hosting._recorder": ("Recording",),
    ".models._call": ("Call",),
    ".server._endpoint": ("Endpoint", "serve"),
}


if not TYPE_CHECKING:  # a type checker would take any name for one of the package

    def __getattr__(name: str) -> object:
        # Not imported before: without h11, `python -m smruntime_local` must start, and say so.
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        homes = [module for module, names in _MODULES.items() if name in names]
        return getattr(import_module(homes[0] if homes else ".hosting._faults", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
