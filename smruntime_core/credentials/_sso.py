"""IAM Identity Center ("SSO"): the token that `aws sso login` has left in a file, exchanged for the keys of a role.

    ~/.aws/sso/cache/SHA1.json ──> token ──> GET portal.sso…/federation/credentials ──> keys

The file is named by the SHA-1 of the session's name or, as it was before there were sessions, of the start URL. A session's token can
be renewed while its registration lasts; what comes back is written into the file for others (AWS CLI, SDKs) to find.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ..effects import Flow, ReadFile, WriteFile
from ..errors import ConstructionError, CredentialsError
from ..signing._canonical import percent_encode
from ..values._credentials import Credentials
from ..values._dates import format_rfc3339, parse_rfc3339
from ..values._http import Request
from ..values._redacted import RedactedMapping
from ._context import Blaming, ProviderContext, Source, Token
from ._documents import credentials, explained, json_object, nested, number, text
from ._services import SSO, SSO_OIDC, ask, url_of

RENEWED_BEFORE = 300.0  # seconds before a token expires
MAX_SECONDS = 10**9  # that a sign-in may last
MAX_MOMENT = 253402300799  # the end of the year 9999
RENEWABLE = ("refreshToken", "clientId", "clientSecret", "registrationExpiresAt")


class Sso(Source, kw_only=True):
    """The keys of a role in an account, for whoever is signed in at `start_url`; `session` is the name of the sso-session."""

    name = "sso"

    start_url: str
    region: str
    account_id: str | None = None
    role_name: str | None = None
    session: str | None = None

    def look(self, world: ProviderContext) -> Flow[Credentials | str]:
        """The role's keys; raises `CredentialsError`."""
        account_id, role_name = self.account_id, self.role_name
        if account_id is None or role_name is None:
            raise CredentialsError(
                "sso: the profile has no sso_account_id and sso_role_name, so it stands for a token only"
            )
        token = yield from self._token(world)
        url = yield from url_of(SSO, self.region, world)

        def make() -> Request:
            query = f"account_id={percent_encode(account_id)}&role_name={percent_encode(role_name)}"
            return Request(
                "GET",
                f"{url}/federation/credentials?{query}",
                (("x-amz-sso_bearer_token", token.word),),
            )

        response = yield from ask(make, world, f"sso, role {role_name}", explain=explained)
        said = nested(json_object(response.body, "sso"), "roleCredentials")
        if said is None:
            raise CredentialsError("sso: the answer has no roleCredentials")
        return _issued(said, account_id)

    def _token(self, world: ProviderContext) -> Flow[Token]:
        """The token in the file, renewed if it is about to expire and can be."""
        name = hashlib.sha1(
            (self.session or self.start_url).encode(errors="surrogatepass"), usedforsecurity=False
        ).hexdigest()
        path = world.path(".aws", "sso", "cache", f"{name}.json")
        said = yield from read_cached(path, f"sso: sign in with `{self._login}`")
        left = _left(said, "expiresAt", world)
        if left < RENEWED_BEFORE and self._renewable(said, world):
            renewed = yield from self._renewed(said, world, required=left <= 0)
            if renewed is not None:
                yield from keep(path, renewed)
                said, left = renewed, _left(renewed, "expiresAt", world)
        if left <= 0:
            raise CredentialsError(f"sso: the sign-in has expired: renew it with `{self._login}`")
        return Token(text(said, "accessToken") or "", "sso: accessToken in the cached file")

    def _renewable(self, said: Mapping[str, object], world: ProviderContext) -> bool:
        known = self.session is not None and all(text(said, name) for name in RENEWABLE)
        return known and _left(said, "registrationExpiresAt", world) > 0

    def _renewed(
        self, said: Mapping[str, object], world: ProviderContext, *, required: bool
    ) -> Flow[RedactedMapping[object] | None]:
        """What the file shall say; None if that cannot be had, unless it is `required`."""
        url = yield from url_of(SSO_OIDC, self.region, world)

        def make() -> Request:
            return json_request(
                f"{url}/token",
                {
                    "clientId": said["clientId"],
                    "clientSecret": said["clientSecret"],
                    "grantType": "refresh_token",
                    "refreshToken": said["refreshToken"],
                },
            )

        try:
            where = f"sso: renewing the sign-in (else: `{self._login}`)"
            response = yield from ask(make, world, where, explain=explained)
            answer = json_object(response.body, where)
            seconds = number(answer, "expiresIn", MAX_SECONDS)
            if text(answer, "accessToken") is None or seconds is None:
                raise CredentialsError(f"{where}: the answer has no accessToken and expiresIn")
        except CredentialsError:
            if required:
                raise
            return None
        changed = RedactedMapping(
            {name: answer[name] for name in ("accessToken", "refreshToken") if text(answer, name)}
        )
        return RedactedMapping(
            {**said, **changed, "expiresAt": format_rfc3339(world.clock.time() + seconds)}
        )

    @property
    def _login(self) -> str:
        return f"aws sso login --sso-session {self.session}" if self.session else "aws sso login"


def read_cached(path: str, advice: str) -> Flow[RedactedMapping[object]]:
    """The JSON object in the file at `path`; raises `CredentialsError` that ends in `advice` if there is none."""
    with Blaming(path):
        data = yield from ReadFile(path)
    if data is None:
        raise CredentialsError(f"there is no file {path}; {advice}")
    return json_object(data, path)


def keep(path: str, said: Mapping[str, object]) -> Flow[None]:
    """Put what was renewed into the file; if that cannot be, it is only not kept."""
    import json

    try:
        yield from WriteFile(path, json.dumps(dict(said)).encode())
    except ConstructionError:
        return


def json_request(url: str, members: Mapping[str, object], *headers: tuple[str, str]) -> Request:
    """A POST of a JSON object."""
    import json

    return Request(
        "POST",
        url,
        (("content-type", "application/json"), *headers),
        json.dumps(dict(members)).encode(),
    )


def _left(said: Mapping[str, object], name: str, world: ProviderContext) -> float:
    """Seconds until a moment in a document, 0 if it has none."""
    moment = parse_rfc3339(text(said, name) or "")
    return 0.0 if moment is None else moment - world.clock.time()


def _issued(said: Mapping[str, object], account_id: str) -> Credentials:
    """The keys; here the expiry is a number of milliseconds."""
    expiry = number(said, "expiration", MAX_MOMENT * 1000)
    if expiry is None:
        raise CredentialsError("sso: the answer does not say when the credentials expire")
    made = credentials(
        RedactedMapping({name: value for name, value in said.items() if name != "expiration"}),
        "sso",
        expires=False,
    )
    return made.replace(expires_at=expiry / 1000, account_id=account_id)
