"""The client shaped like boto3's: its arguments, bodies, exceptions, and life without botocore."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore
import botocore.exceptions
import botocore.session
import pytest
import trio
import trustme
from botocore.config import Config

import smruntime_core as sm
import smruntime_local
import smruntime_transports
from smruntime_local import Endpoint
from smruntime_transports import boto
from smruntime_transports.boto import _standins, aio, exceptions
from smruntime_transports.boto._calls import OPERATIONS
from smruntime_transports.boto._config import ClientArguments, make_settings

from .boto_calls import (
    BAD_CALLS,
    BODY_CALLS,
    ERROR_CALLS,
    STREAM_CALLS,
    Call,
    describe,
    perform,
    perform_async,
)
from .helpers import modules_after
from .servers import CLOSE, OK, closed_port, scripted
from .test_boto_differential import arguments

Arguments = dict[str, Any]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with smruntime_local.serve() as served:
        yield served


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[boto.SageMakerRuntimeClient]:
    made = boto.client(**arguments(endpoint))
    yield made
    made.close()


def call(client: boto.SageMakerRuntimeClient) -> bytes:
    return client.invoke_endpoint(EndpointName="echo", Body=b"1")["Body"].read()


class Raised:
    """What a call of a client to `url` raises."""

    def __init__(self, url: str, config: object = None, **changes: object) -> None:
        given: Arguments = {
            "service_name": "sagemaker-runtime",
            "region_name": "eu-west-1",
            "endpoint_url": url,
            "aws_access_key_id": "AKID",
            "aws_secret_access_key": "secret",
            "config": config or SimpleNamespace(retries={"total_max_attempts": 1}),
        }
        made = boto.client(**{**given, **changes})
        with pytest.raises(Exception) as raised:  # noqa: PT011 - the tests look at the type
            call(made)
        made.close()
        self.error: Exception = raised.value


# Arguments


def test_importing_the_module_imports_no_botocore() -> None:
    folder = str(Path(smruntime_transports.__file__).parents[1])
    loaded = modules_after(f"sys.path.insert(0, {folder!r}); from smruntime_transports import boto")
    assert not {
        name for name in loaded if name.partition(".")[0] in ("botocore", "boto3", "urllib3")
    }


def test_a_session_gives_its_arguments_to_its_clients(endpoint: Endpoint) -> None:
    given = arguments(endpoint)
    keys = {name: given.pop(name) for name in list(given) if name.startswith("aws_")}
    session = boto.Session(**keys, region_name=given.pop("region_name"))
    assert (session.region_name, session.profile_name) == (endpoint.region, "default")
    made = session.client(**given)
    assert call(made)
    assert made.meta.region_name == endpoint.region
    assert made.meta.endpoint_url == endpoint.url
    assert "secret" not in repr(session)
    made.close()


def test_a_session_of_botocore_is_asked_for_credentials(endpoint: Endpoint) -> None:
    keys = endpoint.credentials
    session = botocore.session.Session()
    session.set_credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    made = boto.Session(botocore_session=session, region_name=endpoint.region).client(
        "runtime.sagemaker", endpoint_url=endpoint.url
    )
    assert call(made)
    made.close()


def test_settings_of_the_environment_are_read(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)
    made = boto.client("sagemaker-runtime")
    assert made.meta.region_name == endpoint.region
    assert made.meta.endpoint_url == endpoint.url
    assert call(made)
    made.close()


def test_missing_region_is_refused_as_by_botocore() -> None:
    with pytest.raises(botocore.exceptions.NoRegionError):
        boto.client("sagemaker-runtime")


def test_missing_profile_is_refused_as_by_botocore() -> None:
    with pytest.raises(botocore.exceptions.ProfileNotFound, match="elsewhere"):
        boto.Session(profile_name="elsewhere").client("sagemaker-runtime")


def test_half_a_key_is_refused_as_by_botocore() -> None:
    with pytest.raises(botocore.exceptions.PartialCredentialsError, match="aws_secret_access_key"):
        boto.client("sagemaker-runtime", "eu-west-1", aws_access_key_id="AKID")


def test_missing_credentials_are_an_error_of_the_call(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made = boto.client("sagemaker-runtime", endpoint.region, endpoint_url=endpoint.url)
    with pytest.raises(botocore.exceptions.NoCredentialsError):
        call(made)
    made.close()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"use_ssl": False}, "endpoint_url='http://…'"),
        ({"endpoint_url": "ftp://host"}, "endpoint_url"),
        ({"region_name": "eu west"}, "region"),
        ({"config": SimpleNamespace(read_timout=1)}, "read_timout"),
        ({"config": {"read_timeout": 1}}, "found dict"),
        ({"config": SimpleNamespace(retries={"max_attempts": "3"})}, "max_attempts"),
        ({"config": SimpleNamespace(client_cert=("a", "b", "c"))}, "config.client_cert"),
        ({"config": SimpleNamespace(read_timeout=-1)}, "-1"),
        ({"config": SimpleNamespace(retries={"mode": "eager"})}, "config.retries"),
        ({"config": SimpleNamespace(max_pool_connections=0)}, "max_connections"),
        ({"config": SimpleNamespace(user_agent_extra="a\r\nb: c")}, "user_agent_extra"),
        ({"config": SimpleNamespace(user_agent_extra=3)}, "config.user_agent_extra"),
        ({"config": SimpleNamespace(use_fips_endpoint="yes")}, "config.use_fips_endpoint"),
        ({"config": SimpleNamespace(proxies="http://p")}, "config.proxies"),
        ({"config": SimpleNamespace(proxies={"https": "http://p:x"})}, "config.proxies"),
        ({"config": Config(signature_version="v2")}, "signature_version"),
        ({"config": Config(ignore_configured_endpoint_urls=True)}, "AWS_IGNORE_CONFIGURED"),
        (
            {
                "config": Config(
                    proxies={"https": "http://p"},
                    proxies_config={"proxy_use_forwarding_for_https": True},
                )
            },
            "CONNECT",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_cannot_work_are_refused(changes: Arguments, named: str) -> None:
    given: Arguments = {"service_name": "sagemaker-runtime", "region_name": "eu-west-1"}
    with pytest.raises(sm.ConstructionError) as raised:
        boto.client(**{**given, **changes})
    assert named in str(raised.value)


def test_options_of_config_become_settings() -> None:
    config = Config(
        region_name="eu-west-3",
        connect_timeout=1,
        read_timeout=2,
        max_pool_connections=7,
        use_fips_endpoint=True,
        use_dualstack_endpoint=False,
        proxies={"http": "http://other", "https": "http://user:word@proxy:3128"},
        s3={"addressing_style": "path"},
        parameter_validation=False,
    )
    client = boto.client("sagemaker-runtime", config=config)
    settings = client._client._settings
    assert settings["timeouts"] == sm.Timeouts(connect=1, response=2, idle=2)
    assert settings["max_connections"] == 7  # type: ignore[typeddict-item]  # it is set
    assert settings["proxy"].host == "proxy"  # type: ignore[typeddict-item]  # it is set
    assert client.meta.region_name == "eu-west-3"
    assert client.meta.endpoint_url is not None
    assert "fips" in client.meta.endpoint_url
    assert client.meta.config is config


def test_defaults_are_those_of_botocore() -> None:
    settings = boto.client("sagemaker-runtime", "eu-west-1")._client._settings
    assert settings["timeouts"] == sm.Timeouts(connect=60, response=60, idle=60)
    assert settings["trust_env"] is True  # type: ignore[typeddict-item]  # it is set


def test_unsigned_calls_are_not_signed() -> None:
    with scripted(OK) as server:
        config = Config(signature_version=botocore.UNSIGNED)
        made = boto.client("sagemaker-runtime", "eu-west-1", endpoint_url=server.url, config=config)
        call(made)
        made.close()
    assert b"authorization" not in server.requests[0].lower()


def test_unverified_and_given_certificates_are_trusted(tmp_path: Path) -> None:
    import ssl

    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    for verify in (False, str(bundle)):
        with scripted(OK, tls=context) as server:
            made = boto.client(
                "sagemaker-runtime",
                "eu-west-1",
                endpoint_url=server.url,
                verify=verify,
                aws_access_key_id="AKID",
                aws_secret_access_key="secret",
            )
            assert call(made) == b"abc"
            made.close()
    with scripted(OK, tls=context) as server:
        assert isinstance(Raised(server.url).error, botocore.exceptions.SSLError)


def test_missing_certificates_are_an_error_of_the_call() -> None:
    with scripted(OK) as server:
        url = server.url.replace("http:", "https:")
        error = Raised(url, verify="/nowhere.pem").error
    assert isinstance(error, botocore.exceptions.HTTPClientError)
    assert "/nowhere.pem" in str(error)


# Failures of connections


def test_refused_connection_is_an_endpoint_connection_error() -> None:
    with closed_port() as url:
        error = Raised(url).error
    assert isinstance(error, botocore.exceptions.EndpointConnectionError)
    assert (
        str(error) == f'Could not connect to the endpoint URL: "{url}/endpoints/echo/invocations"'
    )
    assert isinstance(error.__cause__, sm.DispatchFailure)
    assert error.__cause__.delivery == "not_sent"


def test_unknown_host_is_an_endpoint_connection_error() -> None:
    error = Raised("http://nowhere.invalid").error
    assert isinstance(error, botocore.exceptions.EndpointConnectionError)


def test_refusing_proxy_is_a_proxy_connection_error() -> None:
    with closed_port() as url:
        config = SimpleNamespace(proxies={"https": url}, retries={"total_max_attempts": 1})
        error = Raised("https://host", config).error
    assert isinstance(
        error,
        botocore.exceptions.ProxyConnectionError | botocore.exceptions.EndpointConnectionError,
    )


def test_closed_connection_is_a_connection_closed_error() -> None:
    with scripted(CLOSE) as server:
        assert isinstance(Raised(server.url).error, botocore.exceptions.ConnectionClosedError)


def test_call_beyond_the_connection_limit_waits_and_fails_as_http_client_error(
    endpoint: Endpoint,
) -> None:
    made = boto.client(**arguments(endpoint), config=SimpleNamespace(max_pool_connections=1))
    limited = made._client.with_options(timeouts=sm.Timeouts(pool=0.05))
    made._client = limited
    stream = made.invoke_endpoint_with_response_stream(EndpointName="ngram", Body=b"The")
    with pytest.raises(botocore.exceptions.HTTPClientError):
        call(made)
    stream["Body"].close()
    assert call(made)
    made.close()


def test_dropped_streams_free_their_connections(endpoint: Endpoint) -> None:
    made = boto.client(**arguments(endpoint), config=SimpleNamespace(max_pool_connections=2))
    for _ in range(6):
        answer = made.invoke_endpoint_with_response_stream(EndpointName="ngram", Body=b"The")
        for _event in answer["Body"]:
            break
        del answer
        gc.collect()
    assert call(made)
    made.close()


# Exceptions


def test_exceptions_are_botocores_own(client: boto.SageMakerRuntimeClient) -> None:
    assert issubclass(client.exceptions.ModelError, botocore.exceptions.ClientError)
    assert issubclass(client.exceptions.ModelStreamError, botocore.exceptions.EventStreamError)
    assert client.exceptions.from_code("ModelError") is client.exceptions.ModelError
    assert client.exceptions.from_code("Other") is botocore.exceptions.ClientError
    assert client.exceptions.ClientError is botocore.exceptions.ClientError
    names = {name for name in exceptions.__all__ if not hasattr(botocore.exceptions, name)}
    assert names == set(exceptions.MODELLED) - {"ValidationError"}


def test_pickled_exception_is_restored_as_botocores(client: boto.SageMakerRuntimeClient) -> None:
    with pytest.raises(client.exceptions.ValidationError) as raised:
        client.invoke_endpoint(EndpointName="nowhere", Body=b"")
    restored = pickle.loads(pickle.dumps(raised.value))
    assert type(restored) is botocore.exceptions.ClientError
    assert restored.response == raised.value.response


@pytest.mark.parametrize(
    "members",
    [{"EndpointName": "nowhere"}, {"EndpointName": "a b"}, {"Name": "x"}],
    ids=["service error", "refused member", "unknown member"],
)
def test_failure_shows_neither_body_nor_secret_in_its_frames(
    endpoint: Endpoint, members: Arguments
) -> None:
    made = boto.client(**arguments(endpoint))
    with pytest.raises((exceptions.ClientError, exceptions.ParamValidationError)) as raised:
        made.invoke_endpoint(**members, Body=b"confidential")
    shown = []
    error: BaseException | None = raised.value
    while error is not None:
        traceback = error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_globals["__name__"].startswith("smruntime"):
                shown.append(repr(traceback.tb_frame.f_locals))
            traceback = traceback.tb_next
        error = error.__cause__
    assert shown
    assert "confidential" not in "".join(shown)
    assert endpoint.credentials.secret_access_key not in "".join(shown)
    made.close()


def test_operations_have_no_pages(client: boto.SageMakerRuntimeClient) -> None:
    assert client.can_paginate("invoke_endpoint") is False
    with pytest.raises(KeyError):
        client.can_paginate("list_endpoints")
    with pytest.raises(botocore.exceptions.OperationNotPageableError):
        client.get_paginator("invoke_endpoint")
    assert client.meta.method_to_api_mapping["invoke_endpoint_async"] == "InvokeEndpointAsync"


@pytest.mark.parametrize("names", OPERATIONS.values(), ids=OPERATIONS)
def test_every_member_of_an_operation_has_its_name_of_aws(names: Any) -> None:
    operation = getattr(sm, names.operation_name)
    known = {name for name in names._own_names.values() if names.has_member(name)}
    assert known == {binding.name for binding in operation._table.bindings}


# Bodies


def body_of(data: bytes, length: int | None = None) -> boto.StreamingBody:
    return boto.StreamingBody(io.BytesIO(data), len(data) if length is None else length)


def test_body_reads_like_a_file() -> None:
    body = body_of(b"abcdef")
    assert (body.read(2), body.tell(), body.readable()) == (b"ab", 2, True)
    buffer = bytearray(2)
    assert (body.readinto(buffer), bytes(buffer)) == (2, b"cd")
    assert (body.read(), body.read()) == (b"ef", b"")
    assert json.load(body_of(b"[1]")) == [1]
    untyped: Any = body_of(b"text")  # boto3's is no typed file, either
    assert io.TextIOWrapper(untyped, "utf-8").read() == "text"
    untyped = body_of(b"ab\ncd")
    assert io.BufferedReader(untyped).readline() == b"ab\n"
    with body_of(b"x") as raw:
        assert raw.read() == b"x"


def test_lines_of_a_body_do_not_depend_on_the_chunks() -> None:
    data = b"one\ntwo\r\nthree\r\n\nfive"
    for chunk_size in (1, 2, 3, 7, 1024):
        lines = list(body_of(data).iter_lines(chunk_size, keepends=False))
        assert b"".join(lines) == b"onetwothreefive"
        assert b"".join(body_of(data).iter_lines(chunk_size, keepends=True)) == data


def test_short_body_raises_incomplete_read_error() -> None:
    with pytest.raises(botocore.exceptions.IncompleteReadError, match="3 read, but total bytes"):
        body_of(b"abc", 4).read()


# The async twin


async def perform_all(endpoint: Endpoint, calls: list[Call]) -> list[object]:
    results = []
    for one in calls:
        async with aio.get_session().create_client(
            **arguments(endpoint), config=SimpleNamespace(**one.config)
        ) as client:
            results.append(await perform_async(client, one, endpoint))
    return results


@pytest.mark.parametrize(
    ("run", "calls"),
    [
        (asyncio.run, [*BODY_CALLS, *ERROR_CALLS, *STREAM_CALLS, *BAD_CALLS]),
        (lambda main: trio.run(lambda: main), [*BODY_CALLS, *STREAM_CALLS]),
    ],
    ids=["asyncio", "trio"],
)
def test_async_client_gives_the_same_as_the_sync_one(
    endpoint: Endpoint, run: Any, calls: list[Call]
) -> None:
    results = run(perform_all(endpoint, calls))
    for one, result in zip(calls, results, strict=True):
        sync_client = boto.client(**arguments(endpoint), config=SimpleNamespace(**one.config))
        expected = describe(perform(sync_client, one, endpoint))
        sync_client.close()
        assert describe(result) == expected, one.name


def test_async_body_reads_like_aiobotocores() -> None:
    async def main() -> None:
        def made() -> aio.AioStreamingBody:
            return aio.AioStreamingBody(io.BytesIO(b"a\nb\nc"), 5)

        assert [line async for line in made().iter_lines()] == [b"a", b"b", b"c"]
        assert [chunk async for chunk in made().iter_chunks(2)] == [b"a\n", b"b\n", b"c"]
        assert [chunk async for chunk in made()] == [b"a\nb\nc"]
        assert await made().readlines() == [b"a", b"b", b"c"]
        body = made()
        assert (await body.read(1), body.tell(), await anext(body)) == (b"a", 1, b"\nb\nc")
        buffer = bytearray(3)
        assert (await made().readinto(buffer), bytes(buffer)) == (3, b"a\nb")
        with pytest.raises(StopAsyncIteration):
            await anext(body)
        await body.aclose()

    asyncio.run(main())


def test_async_settings_are_refused_when_the_client_is_opened() -> None:
    async def main() -> None:
        async with aio.AioSession("elsewhere").create_client("sagemaker-runtime"):
            pass

    with pytest.raises(botocore.exceptions.ProfileNotFound):
        asyncio.run(main())
    with pytest.raises(botocore.exceptions.UnknownServiceError):
        aio.get_session().create_client("s3")


# Without botocore

WITHOUT = """
import pickle, sys
for name in ("botocore", "boto3", "urllib3"):
    sys.modules[name] = None
import smruntime_local
from smruntime_transports import boto
from smruntime_transports.boto import exceptions

with smruntime_local.serve() as endpoint:
    keys = endpoint.credentials
    client = boto.client(
        "sagemaker-runtime", endpoint.region, endpoint_url=endpoint.url,
        aws_access_key_id=keys.access_key_id, aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token,
    )
    answer = client.invoke_endpoint(EndpointName="echo", Body=b"1")
    print(answer["ResponseMetadata"]["HTTPStatusCode"])
    for members in ({"EndpointName": "nowhere", "Body": b""}, {"Name": 1}):
        try:
            client.invoke_endpoint(**members)
        except Exception as error:
            print(type(error).__mro__[0].__name__, type(error).__mro__[1].__name__, error)
            restored = pickle.loads(pickle.dumps(error))
            assert str(restored) == str(error)
    answer = client.invoke_endpoint_with_response_stream(
        EndpointName="ngram", Body=b"The", CustomAttributes="fault=truncate@1"
    )
    try:
        list(answer["Body"])
    except exceptions.ResponseStreamingError as error:
        print(type(error).__name__)
"""


def test_everything_works_without_botocore() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    status, refused, unknown, *rest = completed.stdout.splitlines()
    assert status == "200"
    assert refused == (
        "ValidationError ClientError An error occurred (ValidationError) when calling the "
        "InvokeEndpoint operation: Endpoint nowhere of account 000000000000 not found."
    )
    assert unknown == "ParamValidationError BotoCoreError Parameter validation failed:"
    assert rest[-1] == "ResponseStreamingError"


STAND_INS = [name for name, value in vars(_standins).items() if isinstance(value, type)]
VALUES = {
    name: f"<{name}>"
    for name in (
        "endpoint_url",
        "error",
        "proxy_url",
        "report",
        "provider",
        "cred_var",
        "error_msg",
        "profile",
        "service_name",
        "known_service_names",
        "operation_name",
        "actual_bytes",
        "expected_bytes",
    )
}


@pytest.mark.parametrize("name", STAND_INS)
def test_stand_ins_have_the_texts_and_bases_of_botocores(name: str) -> None:
    ours, theirs = getattr(_standins, name), getattr(botocore.exceptions, name)
    bases = {base.__name__ for base in theirs.__mro__ if base.__module__ == theirs.__module__}
    ours_bases = {base.__name__ for base in ours.__mro__ if base.__module__ == ours.__module__}
    assert ours_bases <= bases
    if issubclass(ours, _standins.BotoCoreError):
        assert str(ours(**VALUES)) == str(theirs(**VALUES))
        assert str(pickle.loads(pickle.dumps(ours(**VALUES)))) == str(ours(**VALUES))
    else:
        response: Any = {
            "Error": {"Code": "a", "Message": "b"},
            "ResponseMetadata": {"RetryAttempts": 2, "MaxAttemptsReached": True},
        }
        assert str(ours(response, "Invoke")) == str(theirs(response, "Invoke"))


# Arguments, variables and sessions together, as boto3 resolves them


KEYS_ALONE = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}


def settings_of(**changes: Any) -> dict[str, object]:
    return dict(make_settings(ClientArguments(**{**KEYS_ALONE, **changes})))


def test_proxy_is_that_of_the_endpoint_url_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = Config(proxies={"http": "http://plain:1", "https": "http://secured:2"})
    assert "secured" in str(settings_of(config=config)["proxy"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8080")
    assert "plain" in str(settings_of(config=config)["proxy"])


def test_certificates_may_be_named_by_a_path_object(tmp_path: Path) -> None:
    path = tmp_path / "authorities.pem"
    assert settings_of(verify=path)["tls"] == settings_of(verify=str(path))["tls"] is not None
    for verify in (b"authorities.pem", 0, 1, "", object()):
        with pytest.raises(sm.ConstructionError, match="verify"):
            settings_of(verify=verify)


def test_retry_mode_leaves_the_number_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(retries={"mode": "standard"})
    assert settings_of(config=config)["retries"] == sm.RetryPolicy(3)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "retries" not in settings_of(config=config)


def test_region_of_a_config_comes_before_that_of_a_session() -> None:
    session = boto.Session(**KEYS_ALONE, region_name="us-east-1")
    made = session.client("sagemaker-runtime", config=Config(region_name="eu-west-1"))
    assert made.meta.region_name == "eu-west-1"
    assert session.client("sagemaker-runtime").meta.region_name == "us-east-1"


def test_region_of_a_session_of_botocore_is_used() -> None:
    theirs = botocore.session.Session()
    theirs.set_config_variable("region", "ap-south-1")
    theirs.set_credentials("AKID", "secret")
    session = boto.Session(botocore_session=theirs)
    assert session.region_name == "ap-south-1"
    assert session.client("sagemaker-runtime").meta.region_name == "ap-south-1"


def test_session_names_region_and_profile_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("AWS_PROFILE", "p")
    assert (boto.Session().region_name, boto.Session().profile_name) == ("us-west-2", "p")
    with pytest.raises(exceptions.ProfileNotFound, match="p"):
        call(boto.client("sagemaker-runtime"))


def test_empty_keys_are_no_keys() -> None:
    assert settings_of(aws_session_token="")["credentials"] == sm.Credentials("AKID", "secret")
    nothing = {"aws_access_key_id": "", "aws_secret_access_key": ""}
    assert "credentials" not in settings_of(**nothing, aws_session_token="")
    assert "credentials" not in settings_of(**nothing, aws_session_token="a-token-alone")


def test_given_url_stands_for_itself_beside_fips() -> None:
    settings = settings_of(endpoint_url="http://h", config=Config(use_fips_endpoint=True))
    assert settings["use_fips"] is False
    assert settings_of(config=Config(use_fips_endpoint=True))["use_fips"] is True
