"""Models from what users name: a function, a text, or a built-in model."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import cast

from smruntime_core import InvokeEndpoint

from ..models import _echo, _iris, _ngram
from ..models._backend import Backend
from ..models._chat import Chat
from ..models._container import Model, make_when_called
from ..models._function import ModelFunction, make_function_model
from ..models._sessions import Sessions
from ..models._time_limit import limit_time


class ModelSourceError(ValueError):
    """A model that cannot be made of what was named; `endpoint_name` is the endpoint's."""

    endpoint_name: str = ""


def make_builtin_models(session_seconds: float) -> dict[str, Model]:
    """Return the built-in models by name; those that need work are made by their first call."""
    return {
        "chat": Chat(Sessions(lifetime=session_seconds)).respond,
        "echo": _echo.respond,
        "flaky": _echo.Flaky().respond,
        "iris": make_when_called(lambda: _iris.Classifier().respond),
        "ngram": make_when_called(_ngram.train),
    }


def make_model(
    label: str, source: object, builtin_models: Mapping[str, Model], seconds: float
) -> Model:
    """Return the model that `source` is or names, with `seconds` for its answer.

    `label` names the endpoint in messages. Raises `ModelSourceError` for anything else, and for a
    module that cannot be imported.
    """
    if callable(source):
        return limit_time(make_function_model(cast("ModelFunction", source)), seconds)
    if not isinstance(source, str):
        found_type = type(source).__name__
        raise ModelSourceError(
            f"the model of {label} must be a function of a call, a URL, module:function, "
            f"or the name of a built-in model, not {found_type}"
        )
    if "://" in source:
        return make_backend(label, source, seconds)
    if ":" in source:
        return limit_time(make_function_model(_import_function(label, source)), seconds)
    if source not in builtin_models:
        known = ", ".join(builtin_models)
        raise ModelSourceError(
            f"the model of {label} is {source!r}: must be a URL, module:function, or one of {known}"
        )
    return builtin_models[source]


def make_backend(endpoint_name: str, container_url: str, seconds: float) -> Model:
    """Return the container at a URL; warn the caller of this package if it is not ready."""
    backend = Backend(container_url, timeout=seconds)
    if problem := backend.find_problem():
        message = f"the container of {endpoint_name} at {container_url} is not ready: {problem}"
        warnings.warn(message, RuntimeWarning, stacklevel=_count_own_frames())
    return backend.respond


def _count_own_frames() -> int:
    """Return the `stacklevel` that names, for `make_backend`, the line that called this package."""
    own_package = __name__.partition(".")[0] + "."
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(own_package):
        frame, level = frame.f_back, level + 1
    return level


def check_endpoint_name(endpoint_name: str) -> None:
    """Raise `ValueError` for a name that no call could have."""
    InvokeEndpoint(endpoint_name, body=b"")


def _import_function(label: str, source: str) -> ModelFunction:
    module_name, _, function_name = source.partition(":")
    try:
        found: object = import_module(module_name)
    except Exception as error:  # of the module itself, too
        message = f"the model of {label} is {source!r}: {type(error).__name__}: {error}"
        raise ModelSourceError(message) from error
    for name in function_name.split("."):
        found = getattr(found, name, None)
    if not callable(found):
        raise ModelSourceError(
            f"the model of {label} is {source!r}: the module has no such function"
        )
    return cast("ModelFunction", found)
