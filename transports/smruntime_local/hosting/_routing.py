"""Which model of an endpoint answers a call.

The texts of the refusals are those of the service where they are known.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final, NamedTuple, Protocol
from zlib import crc32

from smruntime_core import InvokeEndpoint, ModelError, ServiceError, ValidationError

from ..models._container import Model
from ._data_capture import DataCapture
from ._endpoint_config import MODEL_SECONDS, EndpointConfig, InferenceComponent
from ._model_sources import ModelSourceError, make_model

DEFAULT_VARIANT: Final = "AllTraffic"


class Route(NamedTuple):
    """The model that answers, the variant it belongs to, and the number of its worker."""

    model: Model
    variant: str
    worker: int


class HostedEndpoint(Protocol):
    """An endpoint: it finds the model of a call, and may capture calls."""

    capture: DataCapture | None
    clock_seconds: float
    model_seconds: float

    def find(self, call: InvokeEndpoint) -> Route: ...


class SingleModel:
    """An endpoint of one model, which takes every member of a call, as the built-in ones do."""

    capture: DataCapture | None = None
    clock_seconds: float = 0.0
    model_seconds: float = MODEL_SECONDS

    def __init__(self, model: Model) -> None:
        self._route = Route(model, DEFAULT_VARIANT, 0)

    def find(self, call: InvokeEndpoint) -> Route:
        """Return the only route."""
        return self._route


class Router:
    """An endpoint as its configuration says; the models are made at once."""

    def __init__(
        self,
        endpoint_name: str,
        config: EndpointConfig,
        builtin_models: Mapping[str, Model],
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.capture: DataCapture | None = DataCapture(config.capture) if config.capture else None
        self.config: EndpointConfig = config
        self.clock_seconds: float = config.clock_seconds
        self.model_seconds: float = config.model_seconds
        self._endpoint_name = endpoint_name
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._random = random.Random(config.seed)  # noqa: S311 - dice, no secret
        self._turns = count()
        self._loaded_models: set[str] = set()
        self._started_at: dict[str, float] = {}  # of components that had no copies
        self._models: dict[str, Model] = {}
        sources = {
            "": ("", config.model),
            **{name: ("variant", variant.model) for name, variant in config.variants.items()},
            **{name: ("target model", source) for name, source in config.target_models.items()},
            **{name: ("container", source) for name, source in config.containers.items()},
            **{name: ("component", found.model) for name, found in config.components.items()},
        }
        for name, (kind, source) in sources.items():
            if source is not None:
                label = f"{endpoint_name}, {kind} {name}," if kind else endpoint_name
                try:
                    model = make_model(label, source, builtin_models, config.model_seconds)
                except ModelSourceError as error:
                    error.endpoint_name = endpoint_name
                    raise
                self._models[name] = model

    def find(self, call: InvokeEndpoint) -> Route:
        """Return where `call` goes; raises the `ServiceError` to answer with."""
        self._check_payload(call)
        self._refuse_other_members(call)
        if self.config.components:
            name = self._find_component(call)
        elif self.config.target_models:
            name = self._find_target_model(call)
        elif self.config.containers:
            name = self._find_container(call)
        elif self.config.variants:
            name = self._choose_variant(call)
        else:
            name = ""
        variant = name if self.config.variants else DEFAULT_VARIANT
        return Route(self._models[name], variant, self._choose_worker(call))

    def _check_payload(self, call: InvokeEndpoint) -> None:
        body_size, limit = len(call.body), self.config.max_payload
        if body_size > limit:
            message = f"Request body of {body_size} bytes exceeds the limit of {limit} bytes."
            raise ServiceError(message, code="ValidationError", status=413)

    def _refuse_other_members(self, call: InvokeEndpoint) -> None:
        """Refuse a call that names what this endpoint does not have."""
        config, name = self.config, self._endpoint_name
        if call.inference_component_name and not config.components:
            raise ValidationError(
                "Inference Component Name header is not allowed for endpoints to which you "
                "don't plan to deploy inference components."
            )
        if call.target_model and not config.target_models:
            raise ValidationError(
                f"Target model is not supported on endpoint {name}: it hosts no multi-model."
            )
        if call.target_container_hostname and not config.containers:
            raise ValidationError(
                f"Target container hostname is not supported on endpoint {name}: it has no "
                "containers with direct invocation."
            )
        if call.target_variant and call.target_variant not in (
            config.variants or (DEFAULT_VARIANT,)
        ):
            raise ValidationError(f"Variant {call.target_variant} of endpoint {name} not found.")

    def _find_component(self, call: InvokeEndpoint) -> str:
        name = call.inference_component_name
        if not name:
            raise ValidationError(
                "Inference Component Name header is required for endpoints to which you plan to "
                "deploy inference components. Please include Inference Component Name header or "
                "consider using SageMaker models."
            )
        component = self.config.components.get(name)
        if component is None:
            raise ValidationError(f"Inference Component {name} not found.")
        if not component.copies:
            self._require_copy(name, component)
        return name

    def _require_copy(self, name: str, component: InferenceComponent) -> None:
        """Start a copy by the first call; refuse calls until it is there."""
        with self._lock:
            is_first = name not in self._started_at
            started_at = self._started_at.setdefault(name, self._clock())
        if is_first or self._clock() < started_at + component.start_seconds:
            raise ValidationError(
                "Inference Component has no capacity to process this request. "
                "ApplicationAutoScaling may be in-progress (if configured) or try to increase the "
                "capacity by invoking UpdateInferenceComponentRuntimeConfig API."
            )

    def _find_target_model(self, call: InvokeEndpoint) -> str:
        name = call.target_model
        if not name:
            raise ValidationError(
                f"Endpoint {self._endpoint_name} is multi-model and needs a target model."
            )
        if name not in self.config.target_models:
            raise _make_missing_model_error(name)
        with self._lock:
            is_loaded = name in self._loaded_models
            self._loaded_models.add(name)
        if not is_loaded:
            self._sleep(self.config.load_seconds)
        return name

    def _find_container(self, call: InvokeEndpoint) -> str:
        name = call.target_container_hostname
        if not name:
            raise ValidationError(
                f"Endpoint {self._endpoint_name} is multi-container with direct invocation and "
                "needs a target container hostname."
            )
        if name not in self.config.containers:
            raise ValidationError(f"Container {name} of {self._endpoint_name} not found.")
        return name

    def _choose_variant(self, call: InvokeEndpoint) -> str:
        variants = self.config.variants
        if call.target_variant:
            return call.target_variant
        weights = [variant.weight for variant in variants.values()]
        with self._lock:
            return self._random.choices(list(variants), weights)[0]

    def _choose_worker(self, call: InvokeEndpoint) -> int:
        if call.prefix_aware_id:
            return crc32(call.prefix_aware_id.encode()) % self.config.workers
        return next(self._turns) % self.config.workers


def _make_missing_model_error(name: str) -> ModelError:
    message = f"Failed to download model data (key: {name}): there is no such object."
    error = ModelError(message)
    error.original_status_code = 404
    error.original_message = message
    return error
