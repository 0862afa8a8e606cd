"""Reading an object: where it is looked for, what is mended, what counts as "not there yet" and what does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import smruntime_core as sm
from smruntime_core.conversation._clock_skew import ClockSkew
from smruntime_core.conversation._deadline import Deadline
from smruntime_core.conversation._s3 import MAX_FAILURES, ObjectReader
from smruntime_core.effects import GetCredentials, Send
from smruntime_core.signing import S3
from smruntime_core.testing import FrozenClock, ScriptedIO, script

KEYS = sm.Credentials("AKID", "secret", "token")
AT = "s3://bucket/out/a b.out"
CONFIG = sm.Config(region="eu-west-1")


def error(status: int, code: str, *headers: tuple[str, str]) -> sm.Response:
    body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>said so</Message></Error>"
    return sm.Response(status, (("x-amz-request-id", "r"), *headers), body.encode())


def reader(
    config: sm.Config = CONFIG, clock: FrozenClock | None = None, skew: ClockSkew | None = None
) -> ObjectReader:
    return ObjectReader(config, clock or FrozenClock(), skew or ClockSkew(), max_body=1000)


def asked(
    reader: ObjectReader,
    location: str = AT,
    replies: Sequence[object] = (),
    seconds: float | None = 60.0,
) -> ScriptedIO[bytes | None]:
    flow = script(reader.get(location, Deadline(FrozenClock(), seconds)))
    for reply in replies:
        flow.replies(reply)
    return flow


def sent(flow: ScriptedIO[bytes | None]) -> list[sm.Request]:
    return [effect.request for effect in flow.effects if isinstance(effect, Send)]


DOTTED, CHINA = (
    sm.Config(region="eu-west-1", use_fips=True, use_dualstack=True),
    sm.Config(region="cn-north-1"),
)
OWN = sm.Config(region="eu-west-1", s3_endpoint_url="http://127.0.0.1:9000/base/")


@pytest.mark.parametrize(
    ("config", "location", "url", "signed"),
    [
        (CONFIG, AT, "https://bucket.s3.eu-west-1.amazonaws.com/out/a%20b.out", True),
        (
            CONFIG,
            "s3://bucket/a//b/../é+%",
            "https://bucket.s3.eu-west-1.amazonaws.com/a//b/../%C3%A9%2B%25",
            True,
        ),
        (CONFIG, "s3://my.bucket/k", "https://s3.eu-west-1.amazonaws.com/my.bucket/k", True),
        (
            DOTTED,
            "s3://bucket/k",
            "https://bucket.s3-fips.dualstack.eu-west-1.amazonaws.com/k",
            True,
        ),
        (CHINA, "s3://bucket/k", "https://bucket.s3.cn-north-1.amazonaws.com.cn/k", True),
        (OWN, "s3://bucket/k", "http://127.0.0.1:9000/base/bucket/k", True),
        (
            CONFIG,
            "https://bucket.s3.eu-west-1.amazonaws.com/k",
            "https://bucket.s3.eu-west-1.amazonaws.com/k",
            True,
        ),
        (CONFIG, "https://elsewhere.example/k", "https://elsewhere.example/k", False),
        (CONFIG, "https://evil-amazonaws.com/k", "https://evil-amazonaws.com/k", False),
        (
            CONFIG,
            "http://bucket.s3.eu-west-1.amazonaws.com/k",
            "http://bucket.s3.eu-west-1.amazonaws.com/k",
            False,
        ),
        (CONFIG, "http://127.0.0.1:1/async/1", "http://127.0.0.1:1/async/1", False),
    ],
)
def test_where_an_object_is(config: sm.Config, location: str, url: str, signed: bool) -> None:
    flow = asked(reader(config), location, [KEYS] if signed else [])
    flow.expects(Send)
    (request,) = sent(flow)
    assert (request.method, request.url) == ("GET", url)
    assert ("authorization" in dict(request.headers)) is signed
    if signed and "127" not in url:
        host = url.split("/")[2]
        arrived = request.replace(headers=(("Host", host), *request.headers))
        assert (
            sm.verify(arrived, {"AKID": KEYS}, sm.Scope(config.region, "s3"), now=1.8e9, dialect=S3)
            is KEYS
        )
    assert flow.replies(sm.Response(200, (), b"done")).returns() == b"done"


@pytest.mark.parametrize(
    "location",
    [
        "",
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "s3:///key",
        "s3://bucket/\ud800",
        "ftp://h/k",
        "/k",
    ],
)
def test_what_is_no_object(location: str) -> None:
    """A bucket alone would be listed, and the list be taken for the answer."""
    with pytest.raises(sm.ConstructionError, match=r"location|url"):
        next(reader().get(location, Deadline(FrozenClock(), 60.0)))


@pytest.mark.parametrize("answer", [error(404, "NoSuchKey"), sm.Response(404)])
def test_not_there_yet(answer: sm.Response) -> None:
    assert asked(reader(), AT, [KEYS, answer]).returns() is None


def test_a_refusal_has_s3s_code_and_says_what_to_do() -> None:
    refused = asked(reader(), AT, [KEYS, error(403, "AccessDenied")]).raises(sm.ServiceError)
    assert (refused.code, refused.message, refused.status, refused.metadata.request_id) == (
        "AccessDenied",
        "said so",
        403,
        "r",
    )
    assert "s3:ListBucket" in str(refused)
    assert (
        asked(reader(), AT, [KEYS, error(404, "NoSuchBucket")]).raises(sm.ServiceError).code
        == "NoSuchBucket"
    )


def test_the_bucket_is_in_another_region() -> None:
    known = reader()
    answer = error(301, "PermanentRedirect", ("x-amz-bucket-region", "us-west-2"))
    flow = asked(known, AT, [KEYS, answer, sm.Response(200, (), b"x")])
    assert flow.returns() == b"x"
    assert [request.url.split("/")[2] for request in sent(flow)] == [
        f"bucket.s3.{r}.amazonaws.com" for r in ("eu-west-1", "us-west-2")
    ]
    assert "us-west-2/s3/aws4_request" in dict(sent(flow)[1].headers)["authorization"]
    assert "us-west-2" in sent(asked(known, AT, [KEYS]))[0].url  # it is remembered
    again = error(400, "AuthorizationHeaderMalformed", ("x-amz-bucket-region", "eu-west-1"))
    assert (
        asked(reader(), AT, [KEYS, answer, again]).raises(sm.ServiceError).code
        == "AuthorizationHeaderMalformed"
    )
    assert asked(
        reader(), AT, [KEYS, error(301, "PermanentRedirect", ("x-amz-bucket-region", "no/region"))]
    ).raises(sm.ServiceError)


def test_expired_credentials_are_asked_for_anew_once() -> None:
    flow = asked(reader(), AT, [KEYS, error(400, "ExpiredToken")])
    flow.expects(GetCredentials(60.0, KEYS))
    other = sm.Credentials("B", "c")
    assert (
        flow.replies(other).replies(error(400, "ExpiredToken")).raises(sm.ServiceError).code
        == "ExpiredToken"
    )


def test_a_clock_that_is_off_is_corrected() -> None:
    skew, clock = ClockSkew(), FrozenClock(0.0)
    told = error(403, "RequestTimeTooSkewed", ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"))
    flow = asked(reader(CONFIG, clock, skew), AT, [KEYS, told, sm.Response(200, (), b"x")])
    assert flow.returns() == b"x"
    assert dict(sent(flow)[1].headers)["x-amz-date"] == "19941106T084937Z"


BROKEN = sm.DispatchFailure("no", kind="reset", phase="head", delivery="maybe_sent")


@pytest.mark.parametrize("failure", [BROKEN, error(503, "SlowDown"), error(500, "InternalError")])
def test_what_may_pass_counts_as_not_there_some_times_in_a_row(failure: object) -> None:
    patient = reader()
    for _ in range(2):
        for _ in range(MAX_FAILURES - 1):
            assert asked(patient, AT, [KEYS, failure]).returns() is None
        assert asked(patient, AT, [KEYS, error(404, "NoSuchKey")]).returns() is None
    for _ in range(MAX_FAILURES - 1):
        asked(patient, AT, [KEYS, failure])
    assert asked(patient, AT, [KEYS, failure]).raises(sm.SmRuntimeError)
    assert asked(reader(), AT, [KEYS, failure], seconds=0.0).raises(sm.SmRuntimeError)


def test_a_certificate_does_not_become_right_by_waiting() -> None:
    wrong = sm.DispatchFailure("no", kind="tls", phase="tls", delivery="not_sent")
    assert asked(reader(), AT, [KEYS, wrong]).raises(sm.DispatchFailure) is wrong
    assert asked(reader(), AT, [sm.CredentialsError("none")]).raises(sm.CredentialsError)
