"""The messages for bad input, one table: what is wrong, which member or setting, and the remedy.

`messages.txt` holds each bad input with its message, so that a changed message shows in a review.
Write it anew with `python -m tests.test_messages`, and read what has changed.
"""

from __future__ import annotations

import datetime
import io
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import smruntime_core as sm
from smruntime_core import codecs, credentials, eventstream, payload, signing
from smruntime_core.config import load_configuration, make_config
from smruntime_core.effects import MAX_FILE, ProcessResult
from smruntime_transports import Client, sockets
from smruntime_transports.connect import _proxies, _tls

from .recordings import HOME, Exchange, Recorded, make_context

TABLE = Path(__file__).with_name("messages.txt")
SECRET = "hush"
KEYS = sm.Credentials("AKID", SECRET)
SCOPE = sm.Scope("eu-west-1", "sagemaker")
REQUEST = sm.Request("POST", "https://h/p", (), b"")
LOCAL = {"region": "eu-west-1", "endpoint_url": "http://127.0.0.1:9", "credentials": KEYS}
IAM_KEYS = "aws_access_key_id = A\naws_secret_access_key = hush\n"
STS_URL = "https://sts.eu-west-1.amazonaws.com/"
REGION = {"AWS_REGION": "eu-west-1"}


class BadInput(NamedTuple):
    """An expression that raises, and the member, setting or file that its message must name."""

    expression: str
    named: str


def invoke(**members: Any) -> sm.InvokeEndpoint:
    return sm.InvokeEndpoint(**{"endpoint_name": "e", "body": b"", **members})


def invoke_async(**members: Any) -> sm.InvokeEndpointAsync:
    return sm.InvokeEndpointAsync(
        **{"endpoint_name": "e", "input_location": "s3://bucket/key", **members}
    )


def client(**settings: Any) -> object:
    """Make a client, and let it find its settings: it sends nothing."""
    with sockets.Client(**{**LOCAL, **settings}) as made:
        return made._ready()


def configure(config: str = "", **environ: str) -> object:
    """Find the settings in this config file and environment."""
    files = Recorded({f"{HOME}/.aws/config": config})
    return make_config(sm.run(load_configuration(environ, home=HOME), files))


def provide(provider: Any, *exchanges: Exchange, config: str = "", **environ: str) -> object:
    """Run a provider, or a chain for None, with recorded files and answers."""
    recorded = Recorded({f"{HOME}/.aws/config": config, "/token": SECRET}, list(exchanges))
    recorded.printed = ProcessResult(0, b'{"Version": 2, "SecretAccessKey": "hush"}')
    context = make_context(environ, region=environ.get("AWS_REGION"))
    return sm.run(credentials.fetch_credentials(provider, context), recorded)


def chunk_signer(**members: Any) -> signing.ChunkSigner:
    return signing.ChunkSigner(
        REQUEST, KEYS, signing_scope(), **{"now": 0.0, "length": 8, **members}
    )


def signing_scope() -> sm.Scope:
    return sm.Scope("eu-west-1", "s3")


def signed_request() -> sm.Request:
    """Return a signed request whose body is not in chunks."""
    headers = (("host", "h"),)
    request = sm.Request("POST", "https://h/p", headers, b"")
    return request.replace(headers=headers + sm.sign(request, KEYS, SCOPE, now=0.0).headers)


def answer(body: bytes, status: int = 200, url: str = STS_URL) -> Exchange:
    return Exchange("POST", url, sm.Response(status, (), body))


ROLE = credentials.AssumeRole(role_arn="arn:r", source=KEYS)
CONTAINER = credentials.Container()
NAMESPACE: dict[str, Any] = {
    **{name: getattr(sm, name) for name in sm.__all__},
    **{name: getattr(signing, name) for name in signing.__all__},
    **{name: getattr(credentials, name) for name in credentials.__all__},
    **{name: getattr(eventstream, name) for name in eventstream.__all__},
    **{name: getattr(codecs, name) for name in codecs.__all__},
    **{name: getattr(payload, name) for name in payload.__all__},
    **{name: value for name, value in globals().items() if not name.startswith("_")},
    "MAX_FILE": MAX_FILE,
    "datetime": datetime,
    "io": io,
    "math": math,
    "Proxy": _proxies.Proxy,
    "TLS": _tls.TLS,
    "Client": Client,
}

OPERATIONS = [
    BadInput("invoke(endpoint_name='')", "endpoint_name"),
    BadInput("invoke(endpoint_name='my endpoint')", "endpoint_name"),
    BadInput("invoke(endpoint_name='e' * 64)", "endpoint_name"),
    BadInput("invoke(endpoint_name='é')", "endpoint_name"),
    BadInput("invoke(endpoint_name=None)", "endpoint_name"),
    BadInput("invoke(body='text')", "body"),
    BadInput("invoke(body=None)", "body"),
    BadInput("invoke(body=memoryview(b'abcd')[::2])", "body"),
    BadInput("invoke(content_type='a\\nb')", "content_type"),
    BadInput("invoke(accept=' text/csv')", "accept"),
    BadInput("invoke(custom_attributes='x' * 1025)", "custom_attributes"),
    BadInput("invoke(target_model=b'm')", "target_model"),
    BadInput("invoke(target_variant='-')", "target_variant"),
    BadInput("invoke(inference_id='\\x7f')", "inference_id"),
    BadInput("invoke(session_id='a b')", "session_id"),
    BadInput("invoke(enable_explanations='`x` > 0\\n')", "enable_explanations"),
    BadInput("invoke_async(input_location='ftp://x')", "input_location"),
    BadInput("invoke_async(input_location=None)", "body"),
    BadInput("invoke_async(body=b'x')", "body"),
    BadInput("invoke_async(request_ttl_seconds=59)", "request_ttl_seconds"),
    BadInput("invoke_async(request_ttl_seconds='60')", "request_ttl_seconds"),
    BadInput("invoke_async(invocation_timeout_seconds=True)", "invocation_timeout_seconds"),
    BadInput("invoke_async(filename='a.b.c')", "filename"),
    BadInput("invoke_async(s3_output_path_extension='s3:x')", "s3_output_path_extension"),
    BadInput("invoke().request('ftp://h')", "endpoint"),
    BadInput("invoke().request('https://h?x=1')", "endpoint"),
]
VALUES = [
    BadInput("Credentials('', 'hush')", "access_key_id"),
    BadInput("Credentials('AKID', 'hush\\n')", "secret_access_key"),
    BadInput("Credentials('AKID', ' hush')", "secret_access_key"),
    BadInput("Credentials('AKID', None)", "secret_access_key"),
    BadInput("Credentials('AKID', 'hush', 'hush hush')", "session_token"),
    BadInput("Credentials('AKID', 'hush', expires_at=datetime.datetime(2030, 1, 1))", "expires_at"),
    BadInput("Scope('eu west', 's3')", "region"),
    BadInput("Scope('eu-west-1', 'a/b')", "service"),
    BadInput("RegionSet('eu-*,,', 's3')", "region"),
    BadInput("Timeouts(response=0)", "response"),
    BadInput("Timeouts(connect='3')", "connect"),
    BadInput("Timeouts(total=math.nan)", "total"),
    BadInput("Timeouts(idle=-1)", "idle"),
    BadInput("RetryPolicy(max_attempts=0)", "max_attempts"),
    BadInput("RetryPolicy(max_attempts=1.5)", "max_attempts"),
    BadInput("RetryPolicy(max_delay=-1)", "max_delay"),
    BadInput("Options(timeouts=0)", "timeouts"),
    BadInput("Options(retries=3)", "retries"),
    BadInput("Options(idempotent='false')", "idempotent"),
    BadInput("Options(wait_for_capacity=-1)", "wait_for_capacity"),
    BadInput("Options(max_body=-1)", "max_body"),
    BadInput("Options(progress=3)", "progress"),
    BadInput("Options(extra_headers='x')", "extra_headers"),
    BadInput("Options(extra_headers={'a b': 'hush'})", "extra_headers"),
    BadInput("Options(extra_headers={'Host': 'hush'})", "extra_headers"),
    BadInput("Options(extra_headers={'x-a': 'hush\\n'})", "extra_headers"),
    BadInput("Options(before_signing='sign')", "before_signing"),
    BadInput("RetryPolicy(classify=True)", "classify"),
    BadInput("Config(region='r-1', endpoint_resolver='http://h')", "endpoint_resolver"),
    BadInput(
        "Config(region='r-1', endpoint_resolver=lambda _: 'localhost').url_for('I', 'e')",
        "endpoint_resolver",
    ),
]
CONFIGURATION = [
    BadInput("Config(region='eu-west-1/')", "region"),
    BadInput("Config(region=None)", "region"),
    BadInput("Config(region='r-1', endpoint_url='localhost:8080')", "endpoint_url"),
    BadInput("Config(region='r-1', endpoint_url='http://me:hush@h/')", "endpoint_url"),
    BadInput("Config(region='r-1', endpoint_url='http://h', use_fips=1)", "use_fips"),
    BadInput("Config(region='r-1', endpoint_url='http://h', use_fips=True).url", "endpoint_url"),
    BadInput("Config(region='r-1', use_dualstack='no')", "use_dualstack"),
    BadInput("Config(region='r-1', timeouts=5)", "timeouts"),
    BadInput("Config(region='r-1').openai_url('a/b')", "endpoint_name"),
    BadInput("configure()", "region"),
    BadInput("configure(AWS_PROFILE='missing')", "AWS_PROFILE"),
    BadInput("configure('[work]\\n', AWS_PROFILE='work')", "[profile work]"),
    BadInput("configure('[profile r&d]\\n', AWS_PROFILE='r&d')", "r&d"),
    BadInput("configure(AWS_MAX_ATTEMPTS='many')", "AWS_MAX_ATTEMPTS"),
    BadInput("configure('[default]\\nmax_attempts = 0')", "max_attempts"),
    BadInput("configure(AWS_USE_FIPS_ENDPOINT='perhaps')", "AWS_USE_FIPS_ENDPOINT"),
    BadInput("configure(AWS_RETRY_MODE='wild')", "AWS_RETRY_MODE"),
    BadInput("configure(AWS_SDK_UA_APP_ID='x' * 51)", "AWS_SDK_UA_APP_ID"),
    BadInput("configure('hush')", f"{HOME}/.aws/config"),
    BadInput("configure('[default]\\nhush')", f"{HOME}/.aws/config"),
    BadInput("configure('[default\\nhush')", f"{HOME}/.aws/config"),
    BadInput("configure('[default]\\n  hush')", f"{HOME}/.aws/config"),
    BadInput("configure('[default]\\n= hush')", f"{HOME}/.aws/config"),
    BadInput("configure('[default]\\na = hush\\nA = hush')", f"{HOME}/.aws/config"),
    BadInput("configure('\\n' * 100_000)", f"{HOME}/.aws/config"),
    BadInput("configure('x' * (MAX_FILE + 1))", f"{HOME}/.aws/config"),
]
PROVIDERS = [
    BadInput("provide('AKID')", "credentials"),
    BadInput("provide(None, AWS_EC2_METADATA_DISABLED='true')", "AWS_ACCESS_KEY_ID"),
    BadInput("provide(Environment())", "AWS_ACCESS_KEY_ID"),
    BadInput("provide(None, AWS_ACCESS_KEY_ID='A')", "AWS_SECRET_ACCESS_KEY"),
    BadInput("provide(SharedProfile('x'))", "'x'"),
    BadInput("provide(None, config='[default]\\nrole_arn = r')", "source_profile"),
    BadInput(
        "provide(None, config='[default]\\nrole_arn = r\\nsource_profile = x')", "source_profile"
    ),
    BadInput(
        "provide(SharedProfile('a'), config='[profile a]\\nrole_arn = r\\nsource_profile = b\\n"
        "[profile b]\\nrole_arn = r\\nsource_profile = a')",
        "source_profile",
    ),
    BadInput(
        "provide(None, config='[default]\\nrole_arn = r\\ncredential_source = Magic')",
        "credential_source",
    ),
    BadInput("provide(None, config='[default]\\nsso_session = s')", "sso-session s"),
    BadInput("provide(None, config='[default]\\nsso_account_id = 1')", "sso_role_name"),
    BadInput(
        "provide(SharedProfile('a'), config='[profile a]\\nrole_arn = r\\nsource_profile = b\\n"
        "duration_seconds = 5\\n[profile b]\\n' + IAM_KEYS)",
        "duration_seconds",
    ),
    BadInput("provide(Process('keys'))", "credential_process"),
    BadInput('provide(Process("\'hush"))', "credential_process"),
    BadInput("provide(WebIdentity())", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    BadInput("provide(None, AWS_WEB_IDENTITY_TOKEN_FILE='/token')", "AWS_ROLE_ARN"),
    BadInput("provide(WebIdentity(role_arn='r', token_file='/nope'), **REGION)", "/nope"),
    BadInput("provide(CONTAINER)", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    BadInput(
        "provide(CONTAINER, AWS_CONTAINER_CREDENTIALS_FULL_URI='http://example.com')",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    BadInput(
        "provide(CONTAINER, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI='keys')",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ),
    BadInput(
        "provide(CONTAINER, AWS_CONTAINER_CREDENTIALS_FULL_URI='http://127.0.0.1',"
        " AWS_CONTAINER_AUTHORIZATION_TOKEN='hush\\nhush')",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    ),
    BadInput(
        "provide(CONTAINER, AWS_CONTAINER_CREDENTIALS_FULL_URI='http://127.0.0.1',"
        " AWS_METADATA_SERVICE_TIMEOUT='0')",
        "AWS_METADATA_SERVICE_TIMEOUT",
    ),
    BadInput(
        "provide(CONTAINER, AWS_CONTAINER_CREDENTIALS_FULL_URI='http://127.0.0.1')",
        "http://127.0.0.1",
    ),
    BadInput("provide(InstanceMetadata(endpoint_mode='IPv5'))", "endpoint_mode"),
    BadInput("provide(InstanceMetadata(endpoint='nowhere'))", "endpoint"),
    BadInput("provide(InstanceMetadata())", "169.254.169.254"),
    BadInput("provide(ROLE)", "AWS_REGION"),
    BadInput("provide(ROLE, AWS_REGION='eu west')", "region"),
    BadInput("provide(ROLE, AWS_ENDPOINT_URL_STS='nowhere', **REGION)", "endpoint_url"),
    BadInput("provide(ROLE, answer(b'hush'), **REGION)", "AccessKeyId"),
    BadInput("provide(ROLE, answer(b'<!DOCTYPE x>'), **REGION)", "arn:r"),
    BadInput("provide(ROLE, answer(b'<Code>AccessDenied</Code>', 403), **REGION)", "AccessDenied"),
    BadInput("provide(ROLE.replace(mfa_serial='arn:mfa'), **REGION)", "mfa"),
    BadInput("provide(ROLE.replace(mfa_serial='m', mfa=lambda _: 5), **REGION)", "mfa"),
    BadInput("provide(Sso(start_url='u', region='r-1'))", "sso_account_id"),
    BadInput("provide(Sso(start_url='u', region='r-1', account_id='1', role_name='r'))", "sso"),
    BadInput("provide(Login('arn:me'))", "aws login"),
    BadInput("provide(lambda: None)", "lambda"),
    BadInput("provide(lambda: 'hush')", "lambda"),
    BadInput("provide(lambda: Credentials('A', 'hush\\n'))", "secret_access_key"),
]
SIGNING = [
    BadInput("sign(Request('GET', 'h/p'), KEYS, SCOPE, now=0)", "url"),
    BadInput("sign(Request('GET', 'http://h/\\ud800'), KEYS, SCOPE, now=0)", "url"),
    BadInput("presign(REQUEST, KEYS, SCOPE, now=0, expires=0)", "expires"),
    BadInput("presign(REQUEST, KEYS, SCOPE, now=0, expires=604801)", "expires"),
    BadInput("bearer_token(KEYS, 'eu-west-1', now=0, expires=43201)", "expires"),
    BadInput("verify(REQUEST, {}, SCOPE, now=math.nan)", "now"),
    BadInput("verify(REQUEST, {}, SCOPE, now=0, max_skew=-1)", "max_skew"),
    BadInput("verify(REQUEST, {}, SCOPE, now=0)", "Token"),
    BadInput("chunk_signer(length=-1)", "length"),
    BadInput("chunk_signer(sign_chunks=False)", "trailers"),
    BadInput("chunk_signer().chunk(b'x' * 9)", "data"),
    BadInput("chunk_signer().end()", "length"),
    BadInput("chunk_signer(length=0, trailers=('x-a',)).end()", "trailers"),
    BadInput("chunk_signer(trailers=('x a',))", "trailers"),
    BadInput("ChunkVerifier(signed_request(), KEYS, SCOPE)", "request"),
]
CODECS = [
    BadInput("as_json({1, 2})", "obj"),
    BadInput("as_json({'a': math.nan}, allow_nan=0)", "allow_nan"),
    BadInput("as_json({'a': object()}, default=3)", "default"),
    BadInput("as_json('\\ud800', ensure_ascii=False)", "obj"),
    BadInput("as_json([], separators=',')", "separators"),
    BadInput("as_jsonl({'a': 1})", "records"),
    BadInput("as_csv('1,2')", "rows"),
    BadInput("as_csv([1, 2])", "rows"),
    BadInput("as_csv([[1]], header=True)", "header"),
    BadInput("as_csv([[1]], delimiter=', ')", "delimiter"),
    BadInput("as_csv([[1]], dialect='nope')", "dialect"),
    BadInput("as_text(b'x')", "text"),
    BadInput("as_text('€', encoding='iso-8859-1')", "text"),
    BadInput("as_text('x', encoding='nope')", "encoding"),
    BadInput("read_json(b'{', 'application/json')", "json()"),
    BadInput("read_json(b'x', 'text/csv')", "text/csv"),
    BadInput("read_csv(b'a', 'application/json')", "application/json"),
    BadInput("JSONLinesDecoder(max_line=0)", "max_line"),
    BadInput("encode(Message({'': 1}))", "name"),
    BadInput("encode(Message({'a': None}))", "'a'"),
    BadInput("encode(Message({}, 'text'))", "payload"),
    BadInput("encode(Message({}, bytes(MAX_PAYLOAD + 1)))", "payload"),
]
CLIENTS = [
    BadInput("client(region='evil.com/#')", "region"),
    BadInput("client(endpoint_url='')", "endpoint_url"),
    BadInput("client(credentials='AKID')", "credentials"),
    BadInput("client(profile=5)", "profile"),
    BadInput("client(timeouts=5)", "timeouts"),
    BadInput("client(retries=3)", "retries"),
    BadInput("client(observe='x')", "observe"),
    BadInput("client(engine='bogus')", "engine"),
    BadInput("client(tls=True)", "tls"),
    BadInput("client(max_connections=0)", "max_connections"),
    BadInput("client(socket_options=[1])", "socket_options"),
    BadInput("client(proxy='socks5://h')", "proxy"),
    BadInput("client(proxy='http://me:hush@h:x')", "proxy"),
    BadInput("client(regoin='eu-west-1')", "regoin"),
    BadInput("client(io=object())", "io"),
    BadInput("Client(region='r-1', io=object(), tls=TLS())", "tls"),
    BadInput("sockets.Client(**LOCAL).with_options(time=3)", "time"),
    BadInput("sockets.Client(**LOCAL).session('e').id", "session"),
    BadInput(
        "sockets.Client(**LOCAL).invoke_endpoint(endpoint_name='a b', body=b'')", "endpoint_name"
    ),
    BadInput("sockets.Client(**LOCAL).invoke_endpoint(endpoint_name='e')", "body"),
    BadInput("sockets.Client(**LOCAL).invoke_endpoint(EndpointName='e')", "EndpointName"),
    BadInput(
        "sockets.Client(**LOCAL).invoke_endpoint(endpoint_name='e', body=io.StringIO('x'))", "body"
    ),
    BadInput("client(proxy='ftp://h')", "proxy"),
    BadInput("Proxy('socks5', 'h', 1080)", "scheme"),
    BadInput("Proxy('http', 'h:x', 1080)", "host"),
    BadInput("Proxy('http', 'h', 0)", "port"),
    BadInput("Proxy('http', 'h', 1080, (('a b', 'hush'),))", "headers"),
    BadInput("TLS(key='/c.pem')", "certificate"),
    BadInput("TLS(ca_bundle=5)", "ca_bundle"),
    BadInput("TLS().context('/nope.pem')", "ca_bundle"),
    BadInput("TLS(certificate='/nope.pem', key='/nope.key').context(None)", "certificate"),
    BadInput("TLS(key_log='/nope/log').context(None)", "key_log"),
]
GROUPS = {
    "Operations": OPERATIONS,
    "Values and options": VALUES,
    "Configuration": CONFIGURATION,
    "Credentials": PROVIDERS,
    "Signing": SIGNING,
    "Codecs and decoders": CODECS,
    "Clients": CLIENTS,
}
CASES = [case for cases in GROUPS.values() for case in cases]
RIDDLES = re.compile(
    r"\b(that form|nobody|somebody|whoever|who|whom|anybody|it comes to|stands for|there is none"
    r"|is none of|is not one|is neither(?=;|$))\b|\bis not(?:$|;)",
    re.IGNORECASE,
)


def error_of(case: BadInput) -> Exception:
    """Return the error that a case raises."""
    try:
        eval(case.expression, dict(NAMESPACE))  # noqa: S307 - our own expressions
    except (sm.SmRuntimeError, TypeError) as error:
        return error
    raise AssertionError(f"{case.expression} raised nothing")


def shown(case: BadInput) -> str:
    """Return a case as the table shows it."""
    error = error_of(case)
    return f"{case.expression}\n    {type(error).__name__}: {error}\n"


def written_table() -> str:
    """Return the whole table."""
    return "\n".join(
        f"## {title}\n\n" + "\n".join(map(shown, cases)) for title, cases in GROUPS.items()
    )


@pytest.mark.parametrize("case", CASES, ids=[case.expression[:60] for case in CASES])
def test_message_names_the_member_in_one_plain_line_without_secrets(case: BadInput) -> None:
    error = error_of(case)
    message = str(error)
    assert case.named in message, f"the message does not name {case.named}: {message}"
    assert message.isprintable(), f"not one printable line: {message!r}"
    assert SECRET not in message, f"the message quotes a secret: {message}"
    assert len(message) <= 700, f"the message is too long to read: {message}"
    assert not RIDDLES.search(message), f"the message needs a second reading: {message}"
    if isinstance(error, sm.ConstructionError):
        assert error.member and error.rule, "the error has no member or no rule"


def test_table_of_messages_is_up_to_date() -> None:
    """The fix: `python -m tests.test_messages`, then read the changes."""
    assert TABLE.read_text("utf-8") == written_table()


def test_table_covers_every_area() -> None:
    assert len(CASES) >= 80
    assert len({case.expression for case in CASES}) == len(CASES), "a case is there twice"


if __name__ == "__main__":
    TABLE.write_text(written_table(), "utf-8")
