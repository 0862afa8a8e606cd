"""Configuration: endpoint rules, and settings read from the environment and from `~/.aws`.

_endpoints      a region or a URL to a host and a signing scope
_settings       the flow that reads settings, and which source of a setting wins
_profiles       the parser of AWS profile files
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..values._lazy import lazy_attributes

if TYPE_CHECKING:
    from ._endpoints import EndpointParameters
    from ._settings import Configuration, load_configuration, make_config

__all__ = ["Configuration", "EndpointParameters", "load_configuration", "make_config"]

if not TYPE_CHECKING:  # a type checker would take any name for one of the package
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        globals(),
        {
            "_endpoints": ("EndpointParameters",),
            "_settings": ("Configuration", "make_config", "load_configuration"),
        },
    )
