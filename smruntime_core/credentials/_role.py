"""A role that a caller names, with the default chain's credentials unless others are given.

It is separate from `_sts`, which profiles and the chain use, so that imports go one way:

    _role ──> _chain ──> _profile ──> _sts ──> _provider
"""

from __future__ import annotations

from ..effects import Flow
from ..values._credentials import Credentials
from ._chain import fetch_credentials
from ._context import ProviderContext
from ._sts import Role


class AssumeRole(Role, kw_only=True):
    """The role `role_arn`, requested with the credentials of `source` (None: the default chain).

    `duration` is in seconds (the service allows 900 to 43200; its default is 3600). If
    `mfa_serial` is set, `mfa` is called with it and returns the code that the device shows. `tags`
    are session tags; those named in `transitive_tags` also apply to the next role. `policy` and
    `policy_arns` restrict what the role may do. `region` selects the service's endpoint.
    """

    def _source_credentials(self, context: ProviderContext) -> Flow[Credentials]:
        return fetch_credentials(self.source, context)
