"""From an SDK's HTTP request to an operation, or to an answer that needs no call.

    POST …/chat/completions, …/completions, …/embeddings, …/messages, …/responses
                        InvokeEndpoint, or InvokeEndpointWithResponseStream for `"stream": true`
    GET …/models        the names that were configured
    anything else       refused: SageMaker passes on a body, neither a path nor a method

The body is passed on as it is. Members come from the transport's arguments, and for one call from
its header fields `X-Amzn-SageMaker-…`, which have precedence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias, TypedDict, cast
from urllib.parse import unquote, urlsplit

from smruntime_core import (
    ConstructionError,
    InvokeEndpoint,
    InvokeEndpointWithResponseStream,
    Request,
    Response,
)
from smruntime_core.errors import describe_unexpected
from smruntime_core.service import header_names

from ._answers import JSON_TYPE, Dialect, make_answer, refuse

if TYPE_CHECKING:
    from smruntime_core.payload import JSON

PATHS: Final = ("/chat/completions", "/completions", "/embeddings", "/messages", "/responses")
_PREFIX: Final = "x-amzn-sagemaker-"

JSONObject: TypeAlias = "Mapping[str, JSON]"
EndpointName: TypeAlias = "str | Callable[[str], str]"
ModelOperation: TypeAlias = "InvokeEndpoint | InvokeEndpointWithResponseStream"


class OpenSession(Protocol):
    """A session that is open, such as `client.session(…)` inside its `with` block."""

    @property
    def id(self) -> str: ...


class CallMembers(TypedDict, total=False):
    """What is added to every call; help of `InvokeEndpoint` explains the members.

    Three differ: `session` is an open session or its id; `inference_component_name` may be a
    function of the model's name, and `prefix_aware_id` one of the request's JSON object. `models`
    are the names that `GET /models` lists.
    """

    accept: str
    custom_attributes: str
    enable_explanations: str
    inference_component_name: str | Callable[[str], str | None]
    inference_id: str
    models: Iterable[str]
    prefix_aware_id: str | Callable[[JSONObject], str | None]
    session: str | OpenSession
    target_container_hostname: str
    target_model: str
    target_variant: str


class Plan(NamedTuple):
    """A call to make. `identity` is the same for a request that an SDK sends again."""

    operation: ModelOperation
    dialect: Dialect
    identity: bytes
    is_retry: bool


class RequestMapping:
    """The mapping of requests to calls of one endpoint, or of the endpoint of each model.

        endpoint_name   name of the endpoint, or a function from the request's `model` to it; a
                        `LookupError` that it raises is a model that does not exist
        members         see `CallMembers`

    Raises `ConstructionError` for a name or member that SageMaker would refuse.
    """

    def __init__(self, endpoint_name: EndpointName, members: CallMembers) -> None:
        message = describe_unexpected(members, CallMembers.__annotations__)
        if message is not None:
            raise TypeError(message)
        self._members: dict[str, object] = {"endpoint_name": endpoint_name, **members}
        given_models = self._members.pop("models", None)
        self._session = self._members.pop("session", None)
        if isinstance(self._session, str):
            self._members["session_id"] = self._session
        elif self._session is not None and not hasattr(type(self._session), "id"):
            raise ConstructionError("session", "an open session, or its id")
        fixed_members = {
            name: value
            for name, value in self._members.items()
            if not (callable(value) and name in _MAY_BE_FUNCTIONS)
        }
        _make_operation(InvokeEndpoint, {"endpoint_name": "any", **fixed_members}, b"")
        if given_models is None:
            given_models = () if callable(endpoint_name) else (endpoint_name,)
        self._models = _check_models(given_models)

    def plan(self, request: Request) -> Plan | Response:
        """Return the call that `request` asks for, or the answer to one that needs no call."""
        fields = {name.lower(): value for name, value in request.headers}
        path = urlsplit(request.url).path.rstrip("/")
        dialect = _find_dialect(path, fields)
        if request.method == "GET":
            answer = self._list_models(path, dialect)
            if answer is not None:
                return answer
        refusal = _refuse_request(request, path, fields)
        if refusal is not None:
            return refuse(dialect, *refusal)
        body = bytes(request.body)
        try:
            document: object = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            return refuse(dialect, 400, "the body must be a JSON object")
        try:
            operation = self._find_operation(cast("JSONObject", document), fields, body)
        except _UnknownModelError as error:
            return refuse(dialect, 404, str(error), _NO_MODEL)
        except ConstructionError as error:
            return refuse(dialect, 400, str(error), "ConstructionError")
        attempt = fields.get("x-stainless-retry-count", "")
        is_retry = attempt.isdigit() and bool(attempt.strip("0"))
        return Plan(operation, dialect, path.encode() + b"\0" + body, is_retry)

    def _find_operation(
        self, document: JSONObject, fields: Mapping[str, str], body: bytes
    ) -> ModelOperation:
        members = dict(self._members)
        for name in ("endpoint_name", "inference_component_name"):
            if callable(function := members.get(name)):
                members[name] = _find_by_model(function, document.get("model"))
        if callable(function := members.get("prefix_aware_id")):
            members["prefix_aware_id"] = function(document)
        if self._session is not None and not isinstance(self._session, str):
            members["session_id"] = cast("OpenSession", self._session).id
        if "accept" not in members and fields.get("accept", "*/*") != "*/*":
            members["accept"] = fields["accept"]
        members["content_type"] = fields["content-type"]
        operation_type: type[ModelOperation] = InvokeEndpoint
        if document.get("stream") is True:
            operation_type = InvokeEndpointWithResponseStream
        members |= _read_members(operation_type, fields)
        return _make_operation(operation_type, members, body)

    def _list_models(self, path: str, dialect: Dialect) -> Response | None:
        """Return the answer to `GET …/models` and `GET …/models/NAME`, None for other paths."""
        _, found, name = path.rpartition("/models")
        if not found or (name and not name.startswith("/")):
            return None
        if not name:
            return make_answer(200, _describe_models(self._models))
        model = unquote(name[1:])
        if model in self._models:
            return make_answer(200, _describe_model(model))
        return refuse(dialect, 404, _describe_unknown(model), _NO_MODEL)


_NO_MODEL: Final = "model_not_found"
_MAY_BE_FUNCTIONS: Final = ("endpoint_name", "inference_component_name", "prefix_aware_id")


class _UnknownModelError(Exception):
    """A function of the caller knows no model of this name."""


def _describe_unknown(model: object) -> str:
    return f"the model {model!r:.200} does not exist"


def _find_by_model(function: Callable[..., object], model: object) -> object:
    if not isinstance(model, str):
        raise ConstructionError("model", "the name of a model")
    try:
        return function(model)
    except LookupError as error:
        raise _UnknownModelError(_describe_unknown(model)) from error


def _check_models(models: object) -> tuple[str, ...]:
    if not isinstance(models, str) and isinstance(models, Iterable):
        names = tuple(cast("Iterable[object]", models))
        if all(isinstance(name, str) for name in names):
            return cast("tuple[str, ...]", names)
    raise ConstructionError("models", "names of models")


def _find_dialect(path: str, fields: Mapping[str, str]) -> Dialect:
    is_anthropic = "anthropic-version" in fields or path.endswith("/messages")
    return "anthropic" if is_anthropic else "openai"


def _refuse_request(
    request: Request, path: str, fields: Mapping[str, str]
) -> tuple[int, str] | None:
    """Return status and sentence for a request that no container would understand, else None."""
    if request.method != "POST" or not path.endswith(PATHS):
        known_paths = ", ".join(PATHS)
        return 404, (
            f"{request.method} {path or '/'} cannot be sent: SageMaker passes only the body on to "
            f"the container. POST to {known_paths}, or GET /models"
        )
    media_type = fields.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON_TYPE:
        found = media_type or "no content type"
        return 415, f"found {found}; the body must be {JSON_TYPE}: files cannot be sent"
    if fields.get("content-encoding", "identity").lower() != "identity":
        return 415, "the body must not be compressed: SageMaker does not pass its encoding on"
    return None


def _read_members(
    operation_type: type[ModelOperation], fields: Mapping[str, str]
) -> dict[str, object]:
    """Return the members in header fields; raises `ConstructionError` for unknown ones."""
    names = {header.lower(): name for name, header in header_names(operation_type).items()}
    members: dict[str, object] = {}
    for field_name, value in fields.items():
        if not field_name.startswith(_PREFIX):
            continue
        if field_name not in names:
            raise ConstructionError(
                field_name, f"left out: {operation_type.__name__} has no such member"
            )
        members[names[field_name]] = value
    return members


def _make_operation(
    operation_type: type[ModelOperation], members: Mapping[str, object], body: bytes
) -> ModelOperation:
    """Return an operation; raises `ConstructionError` for a member that it has not."""
    known_members = header_names(operation_type)
    for name in members:
        if name not in known_members and name != "endpoint_name":
            rule = f"left out for streams: {operation_type.__name__} has no such member"
            raise ConstructionError(name, rule)
    make = cast("Callable[..., ModelOperation]", operation_type)
    return make(body=body, **members)


def _describe_models(models: tuple[str, ...]) -> bytes:
    """Return a list as both OpenAI's and Anthropic's SDK read it."""
    listed = {
        "object": "list",
        "data": [json.loads(_describe_model(model)) for model in models],
        "has_more": False,
        "first_id": models[0] if models else None,
        "last_id": models[-1] if models else None,
    }
    return json.dumps(listed).encode()


def _describe_model(model: str) -> bytes:
    described = {
        "id": model,
        "object": "model",
        "created": 0,
        "owned_by": "sagemaker",
        "type": "model",
        "display_name": model,
        "created_at": "1970-01-01T00:00:00Z",
    }
    return json.dumps(described).encode()
