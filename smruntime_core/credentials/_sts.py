"""Roles: the Security Token Service gives temporary keys for others, or for a token of somebody it trusts.

Requests are forms, answers XML (API reference: AssumeRole, AssumeRoleWithWebIdentity). A role is asked for with a signature made by
the credentials of its `source`; the token of a web identity speaks for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from ..effects import Ask, Flow
from ..errors import CredentialsError
from ..protocol._decoding import _quoted_token as without_token
from ..signing import sign
from ..signing._canonical import percent_encode
from ..values._credentials import Credentials, Scope
from ..values._http import Request, Response
from ..values._record import field
from ..values._redacted import RedactedMapping
from ._context import Blaming, ProviderContext, Source, Token, read_token
from ._documents import brief, credentials, xml_leaves
from ._provider import fetch_from
from ._services import STS, ask, url_of

if TYPE_CHECKING:
    from ._protocols import ProviderLike

VERSION = "2011-06-15"
Member: TypeAlias = "tuple[str, str | Token | None]"
ISSUED = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
HEADERS = (("content-type", "application/x-www-form-urlencoded"),)


class Role(Source, kw_only=True):
    """The role `role_arn`, asked for with the credentials of `source`; see `AssumeRole`."""

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

    def look(self, world: ProviderContext) -> Flow[Credentials | str]:
        """The role's credentials; raises `CredentialsError`."""
        keys = yield from self._keys(world)
        region = yield from world.called_from(self.region)
        url = yield from url_of(STS, region, world)
        code = yield from self._code()
        where = f"assume role {self.role_arn}"

        def make() -> Request:
            request = Request(
                "POST", f"{url}/", HEADERS, _form("AssumeRole", (*self._members(world), *code))
            )
            with Blaming(where):
                signed = sign(request, keys, Scope(region, "sts"), now=world.clock.time())
                return request.replace(headers=request.headers + signed.headers)

        response = yield from ask(make, world, where, explain=_explained)
        return _issued(response, where)

    def _keys(self, world: ProviderContext) -> Flow[Credentials]:
        """Return the credentials that sign the request for the role."""
        if self.source is None:
            raise CredentialsError(
                f"assume role {self.role_arn}: no credentials to ask with; pass source="
            )
        return fetch_from(self.source, world)

    def _members(self, world: ProviderContext) -> Iterable[Member]:
        return (
            ("RoleArn", self.role_arn),
            ("RoleSessionName", session_name(self.session_name, world)),
            ("ExternalId", self.external_id),
            ("DurationSeconds", None if self.duration is None else str(self.duration)),
            ("Policy", self.policy),
            ("SourceIdentity", self.source_identity),
            *((f"PolicyArns.member.{n}.arn", arn) for n, arn in enumerate(self.policy_arns, 1)),
            *(
                pair
                for n, (key, value) in enumerate(self.tags.items(), 1)
                for pair in _tag(n, key, value)
            ),
            *(
                (f"TransitiveTagKeys.member.{n}", key)
                for n, key in enumerate(self.transitive_tags, 1)
            ),
        )

    def _code(self) -> Flow[tuple[Member, ...]]:
        """What proves that the caller holds the device."""
        if self.mfa_serial is None:
            return ()
        if self.mfa is None:
            raise CredentialsError(
                f"assume role {self.role_arn} needs a code of the device {self.mfa_serial}: pass credentials=DefaultChain(mfa=...), "
                "a function that asks for it"
            )
        answer = yield from Ask(self.mfa, (self.mfa_serial,))
        code = Token(
            answer.strip() if isinstance(answer, str) else "", "the code that `mfa` returns, a str,"
        )
        return ("SerialNumber", self.mfa_serial), ("TokenCode", code)


class WebIdentity(Source, kw_only=True):
    """The role `role_arn` for whoever the token in `token_file` speaks of; left out, what the environment says of both."""

    name = "web identity"

    role_arn: str | None = None
    token_file: str | None = None
    session_name: str | None = None
    duration: int | None = None
    region: str | None = None

    def look(self, world: ProviderContext) -> Flow[Credentials | str]:
        """The role's credentials, or why there are none here; raises `CredentialsError`."""
        token_file = self.token_file or world.variable("AWS_WEB_IDENTITY_TOKEN_FILE")
        if token_file is None:
            return "AWS_WEB_IDENTITY_TOKEN_FILE is not set"
        role_arn = self.role_arn or world.variable("AWS_ROLE_ARN")
        if role_arn is None:
            raise CredentialsError(
                "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not"
            )
        where = f"web identity, role {role_arn}"
        token = yield from read_token(token_file, "the token of the web identity")
        url = yield from url_of(STS, (yield from world.called_from(self.region)), world)
        named = self.session_name or (
            None if self.token_file else world.variable("AWS_ROLE_SESSION_NAME")
        )
        session = session_name(named, world)

        def make() -> Request:
            duration = None if self.duration is None else str(self.duration)
            members = (
                ("RoleArn", role_arn),
                ("RoleSessionName", session),
                ("WebIdentityToken", token),
                ("DurationSeconds", duration),
            )
            return Request("POST", f"{url}/", HEADERS, _form("AssumeRoleWithWebIdentity", members))

        response = yield from ask(make, world, where, explain=_explained)
        return _issued(response, where)


def session_name(given: str | None, world: ProviderContext) -> str:
    """The name of a session, made of the time if none is given."""
    return given or f"smruntime-core-{int(world.clock.time() * 1000)}"


def _tag(number: int, key: str, value: str) -> Iterable[Member]:
    return (f"Tags.member.{number}.Key", key), (f"Tags.member.{number}.Value", value)


def _form(action: str, members: Iterable[Member]) -> bytes:
    """The body of a request: names as they are, values percent-encoded, what is None left out."""
    return "&".join(
        (
            f"Action={action}",
            f"Version={VERSION}",
            *(_pair(*member) for member in members if member[1] is not None),
        )
    ).encode()


def _pair(name: str, value: str | Token | None) -> str:
    try:
        return f"{name}={percent_encode(value.word if isinstance(value, Token) else value or '')}"
    except UnicodeEncodeError:
        raise CredentialsError(f"{name} must be text without lone surrogates") from None


def _issued(response: Response, where: str) -> Credentials:
    said = xml_leaves(response.body, where)
    account = said.get("Arn", "").split(":")[4:5]  # arn:aws:sts::ACCOUNT:assumed-role/…
    found = credentials(
        RedactedMapping({name: said[name] for name in ISSUED if name in said}), where
    )
    return found.replace(account_id=account[0]) if account else found


def _explained(response: Response) -> str | None:
    """`Code: Message` of an error."""
    try:
        return brief(xml_leaves(without_token(b"redacted", response.body), ""))
    except CredentialsError:
        return None
