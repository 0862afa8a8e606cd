"""Where credentials come from, as flows: files, programs and HTTP are asked for as effects, so any event loop will do.

    client = Client(credentials=DefaultChain())                    # or None: the same
    client = Client(credentials=AssumeRole(role_arn="arn:aws:iam::123456789012:role/reader", external_id="acme"))
    client = Client(credentials=boto3.Session())                   # or any callable that returns credentials

A *provider* has one method, `provide(world)`, a flow that returns `Credentials` or raises `CredentialsError`. The *world* is what a
flow may know without asking: the environment, a clock, chance, the client's profile and region. Each kind of source below is a record
whose members are what a profile may say about it; a profile that chains roles is read into such records, one inside the other, and
those are what is performed.

    >>> from smruntime_core.effects import ProcessResult, RunProcess
    >>> from smruntime_core.credentials import Process, ProviderContext
    >>> from smruntime_core.testing import FrozenClock, script
    >>> world = ProviderContext({}, home="/home/me", clock=FrozenClock(), random=lambda: 0.5)
    >>> flow = script(Process("/opt/keys --for me").provide(world))
    >>> _ = flow.expects(RunProcess(("/opt/keys", "--for", "me")))
    >>> flow.replies(ProcessResult(0, b'{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "s"}')).returns()
    Credentials(access_key_id='AKID', secret_access_key=<redacted>)

    Environment  SharedProfile  WebIdentity  Container  InstanceMetadata      what the default chain looks at, in this order
    AssumeRole  Process  Sso  Login                                           what a profile may stand for besides

    provider ──> flow ──> `Cache`: what to do with credentials that are getting old (pure) ──> a transport does it, once for all callers

Beside `send` and `sleep`, an IO that performs these flows has the methods `read_file`, `write_file`, `run_process` and `ask`.

Nothing here is imported before it is used: a program whose keys are in its environment pays for no more than those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..values._lazy import AttributeGetter, NameLister, lazy_attributes

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


__getattr__: AttributeGetter
__dir__: NameLister
__getattr__, __dir__ = lazy_attributes(__name__, globals(), _SUBMODULES)
