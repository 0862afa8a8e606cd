"""Roles: the Security Token Service (STS) issues temporary credentials for a role.

Requests are forms, answers XML (API reference: AssumeRole, AssumeRoleWithWebIdentity). AssumeRole
is signed with the credentials of its `source`; AssumeRoleWithWebIdentity carries an identity token
and is not signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from ..effects import Ask, Flow
from ..errors import CredentialsError
from ..protocol._decoding import redact_quoted_token
from ..signing import sign
from ..signing._canonical import percent_encode
from ..values._credentials import Credentials, Scope
from ..values._http import Request, Response
from ..values._record import field
from ..values._redacted import RedactedMapping
from ._context import CredentialsErrorContext, ProviderContext, SecretToken, Source, read_token_file
from ._documents import describe_refusal, parse_credentials, parse_xml_leaves
from ._provider import fetch_from
from ._services import STS, send_with_retries, service_url

if TYPE_CHECKING:
    from ._protocols import ProviderLike

API_VERSION: Final = "2011-06-15"
CREDENTIAL_ELEMENTS: Final = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
FORM_HEADERS: Final = (("content-type", "application/x-www-form-urlencoded"),)
FormMember: TypeAlias = "tuple[str, str | SecretToken | None]"


class Role(Source, kw_only=True):
    """The role `role_arn`, requested with the credentials of `source`; see `AssumeRole`."""

    name = "assume role"

    role_arn: str
    source: ProviderLike | None = None
    session_name: str | None = None
    external_id: str | None = field(default=None, secret=True)
    duration: int | None = None
    mfa_serial: str | None = None
    mfa: Callable[[str], object] | None = None
    tags: Mapping[str, str] = {}
    transitive_tags: tuple[str, ...] = ()
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    source_identity: str | None = None
    region: str | None = None

    def look(self, context: ProviderContext) -> Flow[Credentials | str]:
        """Return the role's credentials; raise `CredentialsError`."""
        credentials = yield from self._source_credentials(context)
        region = yield from context.find_region(self.region)
        url = yield from service_url(STS, region, context)
        mfa_members = yield from self._mfa_members()
        description = f"assume role {self.role_arn}"

        def make_request() -> Request:
            form = _encode_form("AssumeRole", (*self._form_members(context), *mfa_members))
            request = Request("POST", f"{url}/", FORM_HEADERS, form)
            with CredentialsErrorContext(description):
                scope = Scope(region, "sts")
                signature = sign(request, credentials, scope, now=context.clock.time())
                return request.replace(headers=request.headers + signature.headers)

        response = yield from send_with_retries(
            make_request, context, description, explain=_explain_xml_refusal
        )
        return _parse_issued(response, description)

    def _source_credentials(self, context: ProviderContext) -> Flow[Credentials]:
        """Return the credentials that sign the request."""
        if self.source is None:
            raise CredentialsError(
                f"assume role {self.role_arn}: no credentials to sign with; pass source="
            )
        return fetch_from(self.source, context)

    def _form_members(self, context: ProviderContext) -> Iterable[FormMember]:
        yield "RoleArn", self.role_arn
        yield "RoleSessionName", _session_name(self.session_name, context)
        yield "ExternalId", self.external_id
        yield "DurationSeconds", _duration_text(self.duration)
        yield "Policy", self.policy
        yield "SourceIdentity", self.source_identity
        for number, arn in enumerate(self.policy_arns, 1):
            yield f"PolicyArns.member.{number}.arn", arn
        for number, (key, value) in enumerate(self.tags.items(), 1):
            yield f"Tags.member.{number}.Key", key
            yield f"Tags.member.{number}.Value", value
        for number, key in enumerate(self.transitive_tags, 1):
            yield f"TransitiveTagKeys.member.{number}", key

    def _mfa_members(self) -> Flow[tuple[FormMember, ...]]:
        """Return the members that prove possession of the MFA device; call `mfa` for its code."""
        if self.mfa_serial is None:
            return ()
        if self.mfa is None:
            raise CredentialsError(
                f"assume role {self.role_arn} needs a code of the device {self.mfa_serial}: "
                "pass credentials=DefaultChain(mfa=...), a function that asks for it"
            )
        answer = yield from Ask(self.mfa, (self.mfa_serial,))
        if not isinstance(answer, str):
            raise CredentialsError(
                f"the code that `mfa` returns must be a str, not {type(answer).__name__}"
            )
        code = SecretToken(answer.strip(), "the code that `mfa` returns")
        return ("SerialNumber", self.mfa_serial), ("TokenCode", code)


class WebIdentity(Source, kw_only=True):
    """The role `role_arn` for the identity token in `token_file`.

    Members that are left out are taken from the environment.
    """

    name = "web identity"

    role_arn: str | None = None
    token_file: str | None = None
    session_name: str | None = None
    duration: int | None = None
    region: str | None = None

    def look(self, context: ProviderContext) -> Flow[Credentials | str]:
        """Return the role's credentials, or say why there are none; raise `CredentialsError`."""
        token_file = self.token_file or context.variable("AWS_WEB_IDENTITY_TOKEN_FILE")
        if token_file is None:
            return "AWS_WEB_IDENTITY_TOKEN_FILE is not set"
        role_arn = self.role_arn or context.variable("AWS_ROLE_ARN")
        if role_arn is None:
            raise CredentialsError(
                "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not"
            )
        description = f"web identity, role {role_arn}"
        token = yield from read_token_file(token_file, "the token of the web identity")
        region = yield from context.find_region(self.region)
        url = yield from service_url(STS, region, context)
        given_name = self.session_name
        if given_name is None and not self.token_file:
            given_name = context.variable("AWS_ROLE_SESSION_NAME")
        session_name = _session_name(given_name, context)

        def make_request() -> Request:
            members = (
                ("RoleArn", role_arn),
                ("RoleSessionName", session_name),
                ("WebIdentityToken", token),
                ("DurationSeconds", _duration_text(self.duration)),
            )
            form = _encode_form("AssumeRoleWithWebIdentity", members)
            return Request("POST", f"{url}/", FORM_HEADERS, form)

        response = yield from send_with_retries(
            make_request, context, description, explain=_explain_xml_refusal
        )
        return _parse_issued(response, description)


def _session_name(given_name: str | None, context: ProviderContext) -> str:
    """Return the name of a session, made of the time if none is given."""
    return given_name or f"smruntime-core-{int(context.clock.time() * 1000)}"


def _duration_text(duration: int | None) -> str | None:
    return None if duration is None else str(duration)


def _encode_form(action: str, members: Iterable[FormMember]) -> bytes:
    """Return the body of a request, with percent-encoded values; members of None are left out."""
    pairs = [_encode_pair(name, value) for name, value in members if value is not None]
    return "&".join((f"Action={action}", f"Version={API_VERSION}", *pairs)).encode()


def _encode_pair(name: str, value: str | SecretToken) -> str:
    text = value.value if isinstance(value, SecretToken) else value
    try:
        return f"{name}={percent_encode(text)}"
    except UnicodeEncodeError:
        raise CredentialsError(f"{name} must be text without lone surrogates") from None


def _parse_issued(response: Response, description: str) -> Credentials:
    """Return the credentials in an answer, with the account of the assumed role."""
    leaves = parse_xml_leaves(response.body, description)
    elements = RedactedMapping(
        {name: leaves[name] for name in CREDENTIAL_ELEMENTS if name in leaves}
    )
    credentials = parse_credentials(elements, description)
    account = leaves.get("Arn", "").split(":")[4:5]  # arn:aws:sts::ACCOUNT:assumed-role/…
    return credentials.replace(account_id=account[0]) if account else credentials


def _explain_xml_refusal(response: Response) -> str | None:
    """Return the code and the message in an XML refusal, None for another body."""
    try:
        body = redact_quoted_token(b"redacted", response.body)
        return describe_refusal(parse_xml_leaves(body, ""))
    except CredentialsError:
        return None
