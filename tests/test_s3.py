"""Objects of S3: their URLs, what is repaired, what counts as "not there yet", and uploads."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, TypeVar

import pytest

import smruntime_core as sm
from smruntime_core.conversation._async_jobs import StoredObject
from smruntime_core.conversation._clock_skew import MAX_CORRECTION, ClockSkew
from smruntime_core.conversation._deadline import Deadline
from smruntime_core.conversation._s3 import MAX_FAILURES, ObjectReader, ObjectWriter
from smruntime_core.effects import Effect, Flow, GetCredentials, Measure, Send, Sleep
from smruntime_core.signing import S3
from smruntime_core.testing import FrozenClock, ScriptedIO, script

ResultT = TypeVar("ResultT")
CREDENTIALS = sm.Credentials("AKID", "secret", "token")
LOCATION = "s3://bucket/out/a b.out"
CONFIG = sm.Config(region="eu-west-1")
DATE_1994 = "Sun, 06 Nov 1994 08:49:37 GMT"


def s3_error(status: int, code: str, *headers: tuple[str, str]) -> sm.Response:
    body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>said so</Message></Error>"
    return sm.Response(status, (("x-amz-request-id", "r"), *headers), body.encode())


def make_reader(
    config: sm.Config = CONFIG, clock: FrozenClock | None = None, skew: ClockSkew | None = None
) -> ObjectReader:
    return ObjectReader(config, clock or FrozenClock(), skew or ClockSkew(), max_body=1000)


def play(flow: Flow[ResultT], replies: Sequence[object] = ()) -> ScriptedIO[ResultT]:
    conversation = script(flow)
    for reply in replies:
        conversation.replies(reply)
    return conversation


def read(
    reader: ObjectReader,
    location: str = LOCATION,
    replies: Sequence[object] = (),
    seconds: float | None = 60.0,
) -> ScriptedIO[StoredObject | None]:
    return play(reader.get(location, Deadline(FrozenClock(), seconds)), replies)


def requests(effects: Sequence[Effect[object]]) -> list[sm.Request]:
    return [effect.request for effect in effects if isinstance(effect, Send)]


FIPS = sm.Config(region="eu-west-1", use_fips=True, use_dualstack=True)
CHINA = sm.Config(region="cn-north-1")
OWN_S3 = sm.Config(region="eu-west-1", s3_endpoint_url="http://127.0.0.1:9000/base/")
LOCAL = sm.Config(region="eu-west-1", endpoint_url="http://127.0.0.1:1")
HOST = "bucket.s3.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("config", "location", "url", "signed"),
    [
        (CONFIG, LOCATION, f"https://{HOST}/out/a%20b.out", True),
        (CONFIG, "s3://bucket/a//b/../é+%", f"https://{HOST}/a//b/../%C3%A9%2B%25", True),
        (CONFIG, "s3://my.bucket/k", "https://s3.eu-west-1.amazonaws.com/my.bucket/k", True),
        (FIPS, "s3://bucket/k", "https://bucket.s3-fips.dualstack.eu-west-1.amazonaws.com/k", True),
        (CHINA, "s3://bucket/k", "https://bucket.s3.cn-north-1.amazonaws.com.cn/k", True),
        (OWN_S3, "s3://bucket/k", "http://127.0.0.1:9000/base/bucket/k", True),
        (CONFIG, f"https://{HOST}/k", f"https://{HOST}/k", True),
        (CONFIG, "https://elsewhere.example/k", "https://elsewhere.example/k", False),
        (CONFIG, "https://evil-amazonaws.com/k", "https://evil-amazonaws.com/k", False),
        (LOCAL, "http://127.0.0.1:1/async/1", "http://127.0.0.1:1/async/1", False),
    ],
)
def test_object_is_read_at_its_url(
    config: sm.Config, location: str, url: str, signed: bool
) -> None:
    flow = read(make_reader(config), location, [CREDENTIALS] if signed else [])
    flow.expects(Send)
    (request,) = requests(flow.effects)
    assert (request.method, request.url) == ("GET", url)
    assert ("authorization" in dict(request.headers)) is signed
    assert ("x-amz-security-token" in dict(request.headers)) is signed
    if signed and "127" not in url:
        received = request.replace(headers=(("Host", url.split("/")[2]), *request.headers))
        scope, known = sm.Scope(config.region, "s3"), {"AKID": CREDENTIALS}
        assert sm.verify(received, known, scope, now=1.8e9, dialect=S3) is CREDENTIALS
    assert flow.replies(sm.Response(200, (), b"done")).returns() == StoredObject(b"done")


@pytest.mark.parametrize(
    ("location", "public"),
    [("https://elsewhere.example/k", True), (f"https://{HOST}/k", False), (LOCATION, False)],
)
def test_unsigned_request_outside_the_endpoint_is_for_public_addresses(
    location: str, public: bool
) -> None:
    flow = read(make_reader(), location, [] if public else [CREDENTIALS])
    effect = flow.effects[-1]
    assert isinstance(effect, Send)
    assert effect.public is public


@pytest.mark.parametrize("answer", [s3_error(404, "NoSuchKey"), sm.Response(404)])
def test_absent_object_is_none(answer: sm.Response) -> None:
    assert read(make_reader(), LOCATION, [CREDENTIALS, answer]).returns() is None


def test_refusal_has_the_code_of_s3_and_a_hint() -> None:
    denied = read(make_reader(), LOCATION, [CREDENTIALS, s3_error(403, "AccessDenied")])
    error = denied.raises(sm.ServiceError)
    assert (error.code, error.message, error.status) == ("AccessDenied", "said so", 403)
    assert error.metadata.request_id == "r"
    assert "s3:ListBucket" in str(error)
    absent = read(make_reader(), LOCATION, [CREDENTIALS, s3_error(404, "NoSuchBucket")])
    assert absent.raises(sm.ServiceError).code == "NoSuchBucket"


def test_message_of_s3_is_cut() -> None:
    body = b"<Error><Code>X</Code><Message>" + b"m" * 50_000 + b"</Message></Error>"
    flow = read(make_reader(), LOCATION, [CREDENTIALS, sm.Response(400, (), body)])
    assert len(flow.raises(sm.ServiceError).message_raw) == 4096


def test_region_of_the_bucket_is_learned_once_and_remembered() -> None:
    reader = make_reader()
    elsewhere = s3_error(301, "PermanentRedirect", ("x-amz-bucket-region", "us-west-2"))
    flow = read(reader, LOCATION, [CREDENTIALS, elsewhere, sm.Response(200, (), b"x")])
    assert flow.returns() == StoredObject(b"x")
    sent = requests(flow.effects)
    assert [request.url.split("/")[2] for request in sent] == [
        f"bucket.s3.{region}.amazonaws.com" for region in ("eu-west-1", "us-west-2")
    ]
    assert "us-west-2/s3/aws4_request" in dict(sent[1].headers)["authorization"]
    assert "us-west-2" in requests(read(reader, LOCATION, [CREDENTIALS]).effects)[0].url
    code = "AuthorizationHeaderMalformed"
    again = s3_error(400, code, ("x-amz-bucket-region", "eu-west-1"))
    flow = read(make_reader(), LOCATION, [CREDENTIALS, elsewhere, again])
    assert flow.raises(sm.ServiceError).code == code


@pytest.mark.parametrize(
    "region", ["no/region", "cn-north-1", "us-gov-west-1", "evil-1", "eu-west-1.evil.example", ""]
)
def test_region_of_another_partition_is_not_learned(region: str) -> None:
    elsewhere = s3_error(301, "PermanentRedirect", ("x-amz-bucket-region", region))
    flow = read(make_reader(), LOCATION, [CREDENTIALS, elsewhere])
    assert flow.raises(sm.ServiceError).code == "PermanentRedirect"


def test_region_named_by_a_url_is_not_replaced() -> None:
    elsewhere = s3_error(301, "PermanentRedirect", ("x-amz-bucket-region", "us-west-2"))
    flow = read(make_reader(), f"https://{HOST}/k", [CREDENTIALS, elsewhere])
    assert flow.raises(sm.ServiceError).code == "PermanentRedirect"


def test_nothing_is_learned_from_an_unsigned_response() -> None:
    skew, reader = ClockSkew(), make_reader()
    reader._skew = skew
    headers = ("Date", "Fri, 31 Dec 2027 23:59:59 GMT"), ("x-amz-bucket-region", "us-west-2")
    hostile = s3_error(403, "RequestExpired", *headers)
    flow = read(reader, "https://stranger.example/x", [hostile])
    assert flow.raises(sm.ServiceError).code == "RequestExpired"
    assert skew.seconds == 0, "the clock of all calls was set by an unsigned response"
    sent = requests(read(reader, LOCATION, [CREDENTIALS]).effects)
    assert sent[0].url.startswith(f"https://{HOST}/"), "the region was learned unsigned"


def test_expired_credentials_are_replaced_once() -> None:
    flow = read(make_reader(), LOCATION, [CREDENTIALS, s3_error(400, "ExpiredToken")])
    flow.expects(GetCredentials(60.0, CREDENTIALS)).replies(sm.Credentials("B", "c"))
    flow.replies(s3_error(400, "ExpiredToken"))
    assert flow.raises(sm.ServiceError).code == "ExpiredToken"


def test_wrong_clock_is_corrected() -> None:
    skew, clock = ClockSkew(), FrozenClock(0.0)
    skewed = s3_error(403, "RequestTimeTooSkewed", ("Date", DATE_1994))
    reader = make_reader(CONFIG, clock, skew)
    flow = read(reader, LOCATION, [CREDENTIALS, skewed, sm.Response(200, (), b"x")])
    assert flow.returns() == StoredObject(b"x")
    assert dict(requests(flow.effects)[1].headers)["x-amz-date"] == "19941106T084937Z"


def test_clock_is_not_corrected_beyond_its_bound() -> None:
    skew, clock = ClockSkew(), FrozenClock(0.0)
    skewed = s3_error(403, "RequestTimeTooSkewed", ("Date", "Fri, 31 Dec 2099 23:59:59 GMT"))
    flow = read(make_reader(CONFIG, clock, skew), LOCATION, [CREDENTIALS, skewed])
    assert flow.raises(sm.ServiceError).code == "RequestTimeTooSkewed"
    assert skew.seconds == 0
    assert MAX_CORRECTION < 2.0e9


def test_request_is_signed_again_after_waiting_for_a_connection() -> None:
    clock = FrozenClock()
    flow = read(make_reader(CONFIG, clock), LOCATION, [CREDENTIALS])
    effect = flow.effects[-1]
    assert isinstance(effect, Send)
    assert effect.renew is not None
    clock.now += 600
    renewed = dict(effect.renew().headers)
    assert renewed["x-amz-date"] == "20270115T081000Z"
    assert renewed["authorization"] != dict(effect.request.headers)["authorization"]


RESET = sm.DispatchFailure("no", kind="reset", phase="head", delivery="maybe_sent")


@pytest.mark.parametrize(
    "failure", [RESET, s3_error(503, "SlowDown"), s3_error(500, "InternalError")]
)
def test_transient_failure_counts_as_absent_until_several_in_a_row(failure: object) -> None:
    reader = make_reader()
    for _ in range(2):
        for _ in range(MAX_FAILURES - 1):
            assert read(reader, LOCATION, [CREDENTIALS, failure]).returns() is None
        absent = s3_error(404, "NoSuchKey")
        assert read(reader, LOCATION, [CREDENTIALS, absent]).returns() is None
    for _ in range(MAX_FAILURES - 1):
        read(reader, LOCATION, [CREDENTIALS, failure])
    assert read(reader, LOCATION, [CREDENTIALS, failure]).raises(sm.SmRuntimeError)
    late = read(make_reader(), LOCATION, [CREDENTIALS, failure], seconds=0.0)
    assert late.raises(sm.SmRuntimeError)


@pytest.mark.parametrize("kind", ["protocol", "too_large"])
def test_response_that_cannot_be_used_is_raised_at_once(kind: Any) -> None:
    unusable = sm.DispatchFailure("no", kind=kind, phase="body", delivery="answered")
    flow = read(make_reader(), LOCATION, [CREDENTIALS, unusable])
    assert flow.raises(sm.DispatchFailure) is unusable


def test_bad_certificate_and_missing_credentials_are_raised_at_once() -> None:
    untrusted = sm.DispatchFailure("no", kind="tls", phase="tls", delivery="not_sent")
    flow = read(make_reader(), LOCATION, [CREDENTIALS, untrusted])
    assert flow.raises(sm.DispatchFailure) is untrusted
    assert read(make_reader(), LOCATION, [sm.CredentialsError("none")]).raises(sm.CredentialsError)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (sm.Response(206, (), b"x"), True),
        (sm.Response(200, (), b""), True),
        (s3_error(416, "InvalidRange"), True),
        (s3_error(404, "NoSuchKey"), False),
    ],
)
def test_existence_is_known_from_the_first_byte(answer: sm.Response, expected: bool) -> None:
    flow = play(make_reader().exists(LOCATION, Deadline(FrozenClock(), 60.0)), [CREDENTIALS])
    assert dict(requests(flow.effects)[0].headers)["range"] == "bytes=0-0"
    assert flow.replies(answer).returns() is expected


def test_existence_is_unknown_after_a_failure() -> None:
    flow = play(make_reader().exists(LOCATION, Deadline(FrozenClock(), 60.0)))
    flow.replies(CREDENTIALS).replies(s3_error(503, "SlowDown")).raises(sm.ServiceError)


def put(location: str, body: object, config: sm.Config = CONFIG) -> ScriptedIO[str]:
    writer = ObjectWriter(config, FrozenClock(), ClockSkew())
    return script(writer.put(location, body, Deadline(FrozenClock(), 60.0), content_type="a/b"))


def test_input_is_put_with_its_hash_and_content_type() -> None:
    flow = put(LOCATION, b"1,2,3").expects(GetCredentials).replies(CREDENTIALS)
    (request,) = requests(flow.effects)
    headers = dict(request.headers)
    assert (request.method, request.url) == ("PUT", f"https://{HOST}/out/a%20b.out")
    assert (request.body, headers["content-type"]) == (b"1,2,3", "a/b")
    assert "content-type;host;x-amz-content-sha256" in headers["authorization"]
    assert flow.replies(sm.Response(200)).returns() == LOCATION


def test_input_that_is_a_file_is_measured_first() -> None:
    flow = put(LOCATION, io.BytesIO(b"1,2,3")).expects(Measure).replies(b"1,2,3")
    assert requests(flow.replies(CREDENTIALS).effects)[0].body == b"1,2,3"


def test_put_is_retried_and_then_raises() -> None:
    flow = put(LOCATION, b"1")
    for failure in (RESET, s3_error(503, "SlowDown")):
        flow.expects(GetCredentials).replies(CREDENTIALS).replies(failure)
        flow.expects(Sleep).replies(None)
    flow.replies(CREDENTIALS).replies(s3_error(500, "InternalError")).raises(sm.ServiceError)
    denied = put(LOCATION, b"1").replies(CREDENTIALS).replies(s3_error(403, "AccessDenied"))
    assert denied.raises(sm.ServiceError).code == "AccessDenied"


@pytest.mark.parametrize(
    "location",
    [
        "https://elsewhere.example/k",
        "http://127.0.0.1:1/async/1",
        "http://127.0.0.1:9/k",
        "https://abc.execute-api.eu-west-1.amazonaws.com/k",
        "s3://bucket",
    ],
)
def test_input_goes_to_s3_only(location: str) -> None:
    assert put(location, b"1", LOCAL).raises(sm.ConstructionError).member == "location"


def test_input_that_is_text_is_refused() -> None:
    assert put(LOCATION, "1,2,3").raises(sm.ConstructionError).member == "body"
