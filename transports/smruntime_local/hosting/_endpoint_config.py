"""What an endpoint consists of, as Python objects.

    EndpointConfig(model=score)                                      one model
    EndpointConfig(variants={"blue": Variant(a, 9), "green": Variant(b)})
    EndpointConfig(target_models={"eu/churn.tar.gz": a})             multi-model
    EndpointConfig(containers={"first": a, "second": b})             multi-container, direct
    EndpointConfig(components={"llm": InferenceComponent(a, copies=0, start_seconds=2)})

A model is a function of a `Call`, or a text: the URL of a container, "module:function", or the name
of a built-in model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from smruntime_core import InvokeEndpoint

from ..models._function import ModelFunction

ModelSource: TypeAlias = ModelFunction | str

MODEL_SECONDS: Final = 60.0  # as SageMaker allows a model
MAX_PAYLOAD: Final = 25 * 1024 * 1024  # bytes, as SageMaker's limit for InvokeEndpoint
KINDS: Final = ("model", "variants", "target_models", "containers", "components")


@dataclass(frozen=True)
class Variant:
    """A production variant: its model, and its share of the calls beside the others' weights."""

    model: ModelSource
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_number("weight", self.weight)


@dataclass(frozen=True)
class InferenceComponent:
    """A model that is scaled by itself.

    With `copies=0` the first call is refused for want of capacity; a copy is there `start_seconds`
    later.
    """

    model: ModelSource
    copies: int = 1
    start_seconds: float = 0.0

    def __post_init__(self) -> None:
        _check_count("copies", self.copies, 0)
        _check_number("start_seconds", self.start_seconds)


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """One endpoint: exactly one of the first five members, and how it behaves.

    model            the only model
    variants         production variants by name
    target_models    models by the name that `target_model` takes; the first call of each waits
                     `load_seconds`
    containers       containers by the name that `target_container_hostname` takes
    components       inference components by name
    workers          instances behind it; calls with one `prefix_aware_id` go to one of them,
                     which `Call.worker` shows
    capture          file that gets a line of JSON for each call and its answer, as data capture
                     writes it
    clock_seconds    how far the clock of the service is ahead of this machine's; a signature that
                     differs from it by more than five minutes is refused
    model_seconds    time for a model to answer, or for the next part of its answer
    max_payload      bytes of a request's body
    seed             of the choice between variants
    """

    model: ModelSource | None = None
    variants: Mapping[str, Variant] = field(default_factory=dict[str, Variant])
    target_models: Mapping[str, ModelSource] = field(default_factory=dict[str, ModelSource])
    containers: Mapping[str, ModelSource] = field(default_factory=dict[str, ModelSource])
    components: Mapping[str, InferenceComponent] = field(
        default_factory=dict[str, InferenceComponent]
    )
    load_seconds: float = 0.0
    workers: int = 1
    capture: Path | None = None
    clock_seconds: float = 0.0
    model_seconds: float = MODEL_SECONDS
    max_payload: int = MAX_PAYLOAD
    seed: int = 0

    def __post_init__(self) -> None:
        given_kinds = [kind for kind in KINDS if getattr(self, kind)]
        if len(given_kinds) != 1:
            found = " and ".join(given_kinds) or "none"
            raise ValueError(f"an endpoint needs exactly one of {', '.join(KINDS)}; found {found}")
        _check_names("target_variant", self.variants)
        _check_names("target_model", self.target_models)
        _check_names("target_container_hostname", self.containers)
        _check_names("inference_component_name", self.components)
        if self.variants and not sum(variant.weight for variant in self.variants.values()):
            raise ValueError("variants: at least one weight must be above 0")
        _check_count("workers", self.workers, 1)
        _check_count("max_payload", self.max_payload, 1)
        _check_count("seed", self.seed, 0)
        _check_number("load_seconds", self.load_seconds)
        _check_number("model_seconds", self.model_seconds)
        _check_number("clock_seconds", self.clock_seconds, least=-math.inf)


def _check_count(name: str, value: int, least: int) -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"{name}={value!r}: must be a whole number of at least {least}")


def _check_number(name: str, value: float, least: float = 0.0) -> None:
    if type(value) not in (int, float) or not math.isfinite(value) or value < least:
        limit = "" if least == -math.inf else f" of at least {least:g}"
        raise ValueError(f"{name}={value!r}: must be a number{limit}")


def _check_names(member: str, names: Mapping[str, object]) -> None:
    """Raise `ValueError` for a name that a call could not ask for."""
    for name in names:
        InvokeEndpoint("e", body=b"").replace(**{member: name})
