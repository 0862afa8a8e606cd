"""Find credentials: providers are flows, so any event loop can run them.

    client = Client(credentials=DefaultChain())                  # or None: the same
    client = Client(credentials=AssumeRole(role_arn="arn:aws:iam::123456789012:role/reader"))
    client = Client(credentials=boto3.Session())                 # or a callable that returns some

A *provider* has one method, `provide(context)`, a flow that returns `Credentials` or raises
`CredentialsError`. The `ProviderContext` holds its inputs: the environment, a clock, random
numbers, and the client's profile and region. Each source below is a record; a profile that chains
roles becomes nested records, which are then run.

    >>> from smruntime_core.effects import ProcessResult, RunProcess
    >>> from smruntime_core.credentials import Process, ProviderContext
    >>> from smruntime_core.testing import FrozenClock, script
    >>> context = ProviderContext({}, home="/home/me", clock=FrozenClock(), random=lambda: 0.5)
    >>> flow = script(Process("/opt/keys --for me").provide(context))
    >>> _ = flow.expects(RunProcess(("/opt/keys", "--for", "me")))
    >>> printed = b'{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "s"}'
    >>> flow.replies(ProcessResult(0, printed)).returns()
    Credentials(access_key_id='AKID', secret_access_key=<redacted>)

    Environment  SharedProfile  WebIdentity  Container  InstanceMetadata     the default chain
    AssumeRole  Process  Sso  Login                                          what profiles may use

    provider ──> flow ──> `Cache`: when to refresh (no I/O) ──> the transport, once for all callers

An IO that runs these flows has the methods `send`, `sleep`, `read_file`, `write_file`,
`run_process` and `ask`.

Each source is imported when it is used first, so a program with keys in its environment does not
import the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..values._lazy import lazy_attributes

if TYPE_CHECKING:
    from ._cache import Cache
    from ._chain import (
        DefaultChain,
        Resolution,
        fetch_credentials,
        make_provider,
        overridden,
        resolve,
    )
    from ._container import Container
    from ._context import ProviderContext, Source
    from ._imds import InstanceMetadata
    from ._login import Login
    from ._process import Process
    from ._profile import SharedProfile
    from ._protocols import Provider, ProviderLike
    from ._provider import holds_keys, provider_error
    from ._role import AssumeRole
    from ._sso import Sso
    from ._static import ANONYMOUS, Environment
    from ._sts import WebIdentity

_SUBMODULES = {
    "_cache": ("Cache",),
    "_chain": (
        "DefaultChain",
        "Resolution",
        "overridden",
        "fetch_credentials",
        "make_provider",
        "resolve",
    ),
    "_container": ("Container",),
    "_imds": ("InstanceMetadata",),
    "_login": ("Login",),
    "_process": ("Process",),
    "_profile": ("SharedProfile",),
    "_protocols": ("Provider", "ProviderLike"),
    "_provider": ("holds_keys", "provider_error"),
    "_role": ("AssumeRole",),
    "_sso": ("Sso",),
    "_static": ("ANONYMOUS", "Environment"),
    "_sts": ("WebIdentity",),
    "_context": ("Source", "ProviderContext"),
}

__all__ = [
    "ANONYMOUS",
    "AssumeRole",
    "Cache",
    "Container",
    "DefaultChain",
    "Environment",
    "InstanceMetadata",
    "Login",
    "Process",
    "Provider",
    "ProviderContext",
    "ProviderLike",
    "Resolution",
    "SharedProfile",
    "Source",
    "Sso",
    "WebIdentity",
    "fetch_credentials",
    "holds_keys",
    "make_provider",
    "overridden",
    "provider_error",
    "resolve",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of the package
    __getattr__, __dir__ = lazy_attributes(__name__, globals(), _SUBMODULES)
