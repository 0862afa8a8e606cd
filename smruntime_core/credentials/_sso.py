"""IAM Identity Center (SSO): exchange the token of `aws sso login` for the credentials of a role.

    ~/.aws/sso/cache/SHA1.json ──> token ──> GET portal.sso…/federation/credentials ──> credentials

The file is named by the SHA-1 of the session's name, or of the start URL in the older format
without sessions. The token of a session can be refreshed while its registration lasts; the
refreshed token is written to the file, where the AWS CLI and other SDKs find it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from ..effects import Flow, ReadFile, WriteFile
from ..errors import ConstructionError, CredentialsError
from ..signing._canonical import percent_encode
from ..values._credentials import Credentials
from ..values._dates import format_rfc3339, parse_rfc3339
from ..values._http import Request
from ..values._redacted import RedactedMapping
from ._context import CredentialsErrorContext, ProviderContext, SecretToken, Source
from ._documents import (
    explain_json_refusal,
    integer_member,
    object_member,
    parse_credentials,
    parse_json_object,
    text_member,
)
from ._services import SSO, SSO_OIDC, send_with_retries, service_url

REFRESH_WINDOW: Final = 300.0  # seconds before a token expires
MAX_LIFETIME: Final = 10**9  # seconds
MAX_TIMESTAMP: Final = 253402300799  # the end of the year 9999
REFRESH_MEMBERS: Final = ("refreshToken", "clientId", "clientSecret", "registrationExpiresAt")


class Sso(Source, kw_only=True):
    """The credentials of a role in an account, for the user signed in at `start_url`.

    `session` is the name of the sso-session.
    """

    name = "sso"

    start_url: str
    region: str
    account_id: str | None = None
    role_name: str | None = None
    session: str | None = None

    def look(self, context: ProviderContext) -> Flow[Credentials | str]:
        """Return the role's credentials; raise `CredentialsError`."""
        account_id, role_name = self.account_id, self.role_name
        if account_id is None or role_name is None:
            raise CredentialsError(
                "sso: no role to sign in to: add sso_account_id and sso_role_name to the profile"
            )
        token = yield from self._current_token(context)
        url = yield from service_url(SSO, self.region, context)

        def make_request() -> Request:
            query = f"account_id={percent_encode(account_id)}&role_name={percent_encode(role_name)}"
            headers = (("x-amz-sso_bearer_token", token.value),)
            return Request("GET", f"{url}/federation/credentials?{query}", headers)

        response = yield from send_with_retries(
            make_request, context, f"sso, role {role_name}", explain=explain_json_refusal
        )
        role_credentials = object_member(parse_json_object(response.body, "sso"), "roleCredentials")
        if role_credentials is None:
            raise CredentialsError("sso: the answer has no roleCredentials")
        return _parse_role_credentials(role_credentials, account_id)

    def _current_token(self, context: ProviderContext) -> Flow[SecretToken]:
        """Return the token in the file, refreshed first if it is about to expire."""
        name_source = (self.session or self.start_url).encode(errors="surrogatepass")
        file_name = f"{hashlib.sha1(name_source, usedforsecurity=False).hexdigest()}.json"
        path = context.home_path(".aws", "sso", "cache", file_name)
        cached = yield from read_cached_document(
            path, "sso", f"sign in with `{self._login_command}`"
        )
        seconds_left = _seconds_left(cached, "expiresAt", context)
        if seconds_left < REFRESH_WINDOW and self._can_refresh(cached, context):
            refreshed = yield from self._refresh(cached, context, required=seconds_left <= 0)
            if refreshed is not None:
                yield from save_document(path, refreshed)
                cached = refreshed
                seconds_left = _seconds_left(refreshed, "expiresAt", context)
        if seconds_left <= 0:
            raise CredentialsError(
                f"sso: the sign-in has expired: renew it with `{self._login_command}`"
            )
        token = text_member(cached, "accessToken") or ""
        return SecretToken(token, "sso: accessToken in the cached file")

    def _can_refresh(self, cached: Mapping[str, object], context: ProviderContext) -> bool:
        has_members = all(text_member(cached, name) for name in REFRESH_MEMBERS)
        is_registered = _seconds_left(cached, "registrationExpiresAt", context) > 0
        return self.session is not None and has_members and is_registered

    def _refresh(
        self, cached: Mapping[str, object], context: ProviderContext, *, required: bool
    ) -> Flow[RedactedMapping[object] | None]:
        """Return the new content of the file.

        A failure raises `CredentialsError` if the token is `required`; otherwise it returns None.
        """
        url = yield from service_url(SSO_OIDC, self.region, context)

        def make_request() -> Request:
            members = {
                "clientId": cached["clientId"],
                "clientSecret": cached["clientSecret"],
                "grantType": "refresh_token",
                "refreshToken": cached["refreshToken"],
            }
            return json_request(f"{url}/token", members)

        try:
            description = f"sso: refreshing the sign-in (else run `{self._login_command}`)"
            response = yield from send_with_retries(
                make_request, context, description, explain=explain_json_refusal
            )
            answer = parse_json_object(response.body, description)
            lifetime = integer_member(answer, "expiresIn", MAX_LIFETIME)
            access_token = text_member(answer, "accessToken")
            if access_token is None or lifetime is None:
                raise CredentialsError(
                    f"{description}: the answer has no accessToken and expiresIn"
                )
            SecretToken(access_token, description)  # before the file has it
        except CredentialsError:
            if required:
                raise
            return None
        tokens = RedactedMapping(
            {
                name: answer[name]
                for name in ("accessToken", "refreshToken")
                if text_member(answer, name)
            }
        )
        expires_at = format_rfc3339(context.clock.time() + lifetime)
        return RedactedMapping({**cached, **tokens, "expiresAt": expires_at})

    @property
    def _login_command(self) -> str:
        return f"aws sso login --sso-session {self.session}" if self.session else "aws sso login"


def read_cached_document(path: str, source_name: str, remedy: str) -> Flow[RedactedMapping[object]]:
    """Return the JSON object in a file; the error for a missing file names `remedy`."""
    with CredentialsErrorContext(path):
        content = yield from ReadFile(path)
    if content is None:
        raise CredentialsError(f"{source_name}: there is no file {path}; {remedy}")
    return parse_json_object(content, path)


def save_document(path: str, document: Mapping[str, object]) -> Flow[None]:
    """Write a refreshed document to its file; a failure is ignored, as the document is in use."""
    import json

    try:
        yield from WriteFile(path, json.dumps(dict(document)).encode())
    except ConstructionError:
        return


def json_request(url: str, members: Mapping[str, object], *headers: tuple[str, str]) -> Request:
    """Return a POST request of a JSON object."""
    import json

    body = json.dumps(dict(members)).encode()
    return Request("POST", url, (("content-type", "application/json"), *headers), body)


def _seconds_left(document: Mapping[str, object], name: str, context: ProviderContext) -> float:
    """Return the seconds until a moment in a document, 0 if it has none."""
    moment = parse_rfc3339(text_member(document, name) or "")
    return 0.0 if moment is None else moment - context.clock.time()


def _parse_role_credentials(document: Mapping[str, object], account_id: str) -> Credentials:
    """Return the credentials in a document; their expiry is in milliseconds."""
    expiry = integer_member(document, "expiration", MAX_TIMESTAMP * 1000)
    if expiry is None:
        raise CredentialsError("sso: the answer does not say when the credentials expire")
    members = RedactedMapping(
        {name: value for name, value in document.items() if name != "expiration"}
    )
    credentials = parse_credentials(members, "sso", requires_expiry=False)
    return credentials.replace(expires_at=expiry / 1000, account_id=account_id)
