"""A role that a caller names, with the default chain's credentials unless others are given.

Kept apart from `_sts`, which profiles use and the chain looks at, so that imports go one way:

    _role ──> _chain ──> _profile ──> _sts ──> _provider
"""

from __future__ import annotations

from ..effects import Flow
from ..values._credentials import Credentials
from ._chain import fetch_credentials
from ._context import ProviderContext
from ._sts import Role


class AssumeRole(Role, kw_only=True):
    """The role `role_arn`, asked for with the credentials of `source` (None: the default chain's).

    `duration` is in seconds (the service allows 900 to 43200; its default is 3600). With
    `mfa_serial`, `mfa` is called with it and returns the code that the device shows. `tags` are
    session tags; those named in `transitive_tags` also apply to the next role. `policy` and
    `policy_arns` restrict what the role may do. `region` is where the service is called.
    """

    def _keys(self, world: ProviderContext) -> Flow[Credentials]:
        return fetch_credentials(self.source, world)
