"""Texts of errors as containers, proxies and the service write them, and what is read from them.

The texts follow public reports (DJL Serving and LMI, TGI, TensorFlow Serving, MMS and TorchServe,
nginx and Flask inside containers, ALB, CloudFront, Envoy and Squid before the service), with names
and numbers replaced.
"""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

import pytest

from smruntime_core import (
    InvokeEndpoint,
    InvokeEndpointWithResponseStream,
    ModelError,
    Response,
    ServiceError,
    ValidationError,
)
from smruntime_core.errors._hints import MAX_TITLE, hint_for, page_text, parse_relayed_error
from smruntime_core.service import event
from smruntime_core.streaming import ResponseParser

OPERATION = InvokeEndpoint(endpoint_name="e", body=b"")
SEE = (
    "See https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
    "#logEventViewer:group=/aws/sagemaker/Endpoints/e in account 111122223333 for more information."
)
OLD_SEE = "See https://us-east-2.console.aws.amazon.com/cloudwatch/ for more information."


def error_of(status: int, body: bytes, **headers: str) -> ServiceError:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    with pytest.raises(ServiceError) as caught:
        OPERATION.parse(Response(status, fields, body))
    return caught.value


def model_error(message: str, **members: Any) -> ModelError:
    body = json.dumps({"Message": message, **members}).encode()
    error = error_of(424, body, x_amzn_ErrorType="ModelError")
    assert isinstance(error, ModelError)
    return error


class Relayed(NamedTuple):
    """The text of a container, the status that the service relays, and the expected hint."""

    origin: str
    status: int
    text: str
    hint: str | None
    container: str = "primary"


LMI = '{\n  "code":424,\n  "message":"prediction failure",\n  "error":"can only concatenate str"\n}'
DJL_DOWN = """{
  "code": 503,
  "type": "ServiceUnavailableException",
  "message": "All model workers has been shutdown: model"
}
"""
TORCHSERVE = """{
  "code": 500,
  "type": "InternalServerException",
  "message": "Worker died."
}
"""
MMS = TORCHSERVE.replace("500", "400").replace("Worker died.", r"\u0027gptj\u0027")
MMS_MEMORY = """{
  "code": 507,
  "type": "InsufficientMemoryException",
  "message": "System out of memory"
}"""
TGI_TOO_LONG = """{"error":"Input validation error: `inputs` must have less than 1000 tokens. \
Given: 1413","error_type":"validation"}"""
TGI_BUSY = '{"error":"Model is overloaded","error_type":"overloaded"}'
TFS = (
    '{ "error": "Failed to process element: 0 of \'instances\' list. Error: INVALID_ARGUMENT: '
    'JSON Value: \\"abc\\" Type: String is not of expected type: float" }'
)
NGINX = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad "
    "Gateway</h1></center>\r\n<hr><center>nginx/1.16.1</center>\r\n</body>\r\n</html>\r\n"
)
NGINX_SIZE = NGINX.replace("502 Bad Gateway", "413 Request Entity Too Large")
FLASK = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n<title>500 Internal Server Error'
    "</title>\n<h1>Internal Server Error</h1>\n<p>The server encountered an internal error.</p>\n"
)
XGBOOST = "application/json is not an accepted ContentType: csv, libsvm, parquet, text/csv."
UNREACHED = (
    "Amazon SageMaker could not get a response from the e endpoint. This can occur when CPU or "
    "memory utilization is high. To check your utilization, see Amazon CloudWatch. To fix this "
    "problem, use an instance type with more CPU capacity or memory."
)
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
NESTED = (
    'upstream said: Received server error (500) from inner with message "no". See https://docs '
    'in account 1 for more information. {"error": "bad". See https://docs/x}'
)

TABLE = [
    Relayed("LMI", 424, LMI, None),
    Relayed("DJL without workers", 503, DJL_DOWN, "worker died"),
    Relayed("TorchServe", 500, TORCHSERVE, "worker died", "model"),
    Relayed("MMS", 400, MMS, None, "model"),
    Relayed("MMS, multi-model", 507, MMS_MEMORY, "no memory left", "model"),
    Relayed("TGI, input too long", 422, TGI_TOO_LONG, None),
    Relayed("TGI, overloaded", 429, TGI_BUSY, "call again later"),
    Relayed("TensorFlow Serving, nested quotes", 400, TFS, None, "model"),
    Relayed("nginx before a dead server", 502, NGINX, "web server died or is too slow", "model"),
    Relayed("nginx, body too large", 413, NGINX_SIZE, "InvokeEndpointAsync and S3"),
    Relayed("Flask", 500, FLASK, None, "model"),
    Relayed("XGBoost", 415, XGBOOST, "content_type="),
    Relayed("BlazingText", 415, "content-type text/plain not supported", "content_type=", "model"),
    Relayed("Autopilot", 406, "Accept type 'application/json' is not supported.", "accept="),
    Relayed("no answer", 0, UNREACHED, "container closed the connection or died"),
    Relayed("timed out", 0, TIMED_OUT, "60 s: stream the response (8 min)"),
    Relayed("status 0 and another text", 0, "broken pipe", "the container gave no answer"),
    Relayed("a sentence like the service's", 500, NESTED, None, "container-2"),
    Relayed("a quote and a full stop at the end", 400, 'say "no".', None),
    Relayed("nothing", 500, "", None),
    Relayed("Python", 500, "local variable 'pred' referenced before assignment", None, "model"),
]
ENDS = {
    "with the log": f'". {SEE}',
    "as it was once": f'". {OLD_SEE}',
    "without the log": '"',
    "with a full stop": '".',
    "cut after the quote": '". See https://eu-west-1.console.aws.amazon.com/cloudwatch in acc',
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("case", TABLE, ids=[case.origin for case in TABLE])
def test_text_of_the_container_is_read_from_the_message(case: Relayed, end: str) -> None:
    fault = "client" if 400 <= case.status < 500 else "server"
    head = f"Received {fault} error ({case.status}) from {case.container} with message"
    error = model_error(f'{head} "{case.text}{end}')
    assert error.container == case.container
    assert error.original_status_code == case.status
    assert error.original_message == case.text
    if case.hint is None:
        assert error.hint is None
    else:
        assert case.hint in (error.hint or "")
        assert case.hint in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize("case", TABLE, ids=[case.origin for case in TABLE])
def test_members_of_the_body_win_over_the_message(case: Relayed) -> None:
    message = 'Received server error (999) from primary with message "cut'
    members = {
        "OriginalStatusCode": case.status,
        "OriginalMessage": case.text or "x",
        "LogStreamArn": "arn:aws:logs:eu-west-1:1:log-group:g",
        "ErrorCode": "INTERNAL_FAILURE_FROM_MODEL",
    }
    error = model_error(message, **members)
    assert error.original_status_code == case.status
    assert error.original_message == (case.text or "x")
    assert error.log_stream_arn == "arn:aws:logs:eu-west-1:1:log-group:g"
    assert error.error_code == "INTERNAL_FAILURE_FROM_MODEL"
    assert error.container == "primary"


def test_empty_member_is_filled_from_the_message() -> None:
    """The service answers so when the container gave no text to relay."""
    message = f'Received server error (0) from primary with message "{TIMED_OUT}". {SEE}'
    error = model_error(message, OriginalMessage="", OriginalStatusCode=0)
    assert (error.original_status_code, error.original_message) == (0, TIMED_OUT)
    assert "InvokeEndpointAsync" in (error.hint or "")


@pytest.mark.parametrize("end", [f". {SEE}", ".", ""])
def test_answer_that_the_service_could_not_load_has_a_hint(end: str) -> None:
    text = "Received server error (500) from primary and could not load the entire response body"
    error = model_error(text + end)
    assert (error.container, error.original_status_code) == ("primary", 500)
    assert error.original_message is None
    assert "ended early, or is larger than SageMaker relays" in (error.hint or "")


def test_text_of_the_container_is_parsed_as_json() -> None:
    for text in (LMI, DJL_DOWN, TGI_TOO_LONG, TFS):
        message = f'Received client error (400) from primary with message "{text}". {SEE}'
        assert model_error(message).json() == json.loads(text)


@pytest.mark.parametrize(
    "message",
    ["", "Received server error", "Received server error (1234) from x with message", "no"],
)
def test_message_without_a_relayed_error_sets_no_members(message: str) -> None:
    error = model_error(message)
    assert (error.container, error.original_status_code, error.original_message) == (None,) * 3


REFUSED = [
    ("TARGET_MODEL_HEADER_MISSING", "Request 1 is missing a target model header.", "pass target_"),
    (
        "TARGET_MODEL_HEADER_NOT_SUPPORTED",
        "Endpoint e of account 1 does not support target model header.",
        "leave target_model out",
    ),
    ("TARGET_MODEL_HEADER_MISSING", "", "pass target_model="),
    (None, "Failed to download model data(bucket: b, key: m/x.tar.gz).", "check target_model="),
    (
        "INFERENCE_COMPONENT_NAME_MISSING",
        "Inference Component Name header is required for endpoints with components.",
        "pass inference_component_name=",
    ),
    (None, "Endpoint e of account 1 not found.", "region"),
]


@pytest.mark.parametrize(("code", "message", "hint"), REFUSED)
def test_validation_error_has_an_error_code_and_a_hint(
    code: str | None, message: str, hint: str
) -> None:
    document = {"Message": message} | ({"ErrorCode": code} if code else {})
    error = error_of(400, json.dumps(document).encode(), x_amzn_ErrorType="ValidationError")
    assert isinstance(error, ValidationError)
    assert error.error_code == code
    assert hint in (error.hint or "")


def test_error_code_of_another_type_is_ignored() -> None:
    error = error_of(400, b'{"ErrorCode": 7}', x_amzn_ErrorType="ValidationError")
    assert error.error_code is None


def test_relayed_error_inside_a_stream_is_read() -> None:
    said = ModelError(f'Received server error (500) from model with message "{TORCHSERVE}". {SEE}')
    parser = ResponseParser(InvokeEndpointWithResponseStream(endpoint_name="e", body=b""))
    body = json.dumps({"Message": said.message_raw}).encode()
    parser.receive_head(Response(424, (("x-amzn-ErrorType", "ModelError"),)))
    parser.receive_data(body)
    parser.receive_eof()
    with pytest.raises(ModelError) as caught:
        parser.next_event()
    assert caught.value.original_message == TORCHSERVE
    assert event(caught.value)


ALB = NGINX.replace("<hr><center>nginx/1.16.1</center>\r\n", "").replace("502 Bad Gateway", "{0}")
CLOUDFRONT = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN">
<HTML><HEAD><META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=iso-8859-1">
<TITLE>ERROR: The request could not be satisfied</TITLE>
</HEAD><BODY><H1>403 ERROR</H1></BODY></HTML>"""
SQUID = """<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">
<html><head><style type="text/css">body { color: red }</style></head>
<body><p>The requested URL could not be retrieved &amp; <b>access</b> denied</p></body></html>"""
CAPTIVE = '<html lang="en"><body><h1 class="a">\n Sign in\n to the network </h1><p>x</p></body>'
PAGES = [
    (503, ALB.format("503 Service Temporarily Unavailable"), "503 Service Temporarily Unavailable"),
    (413, ALB.format("413 Request Entity Too Large"), "413 Request Entity Too Large"),
    (502, NGINX, "502 Bad Gateway"),
    (403, CLOUDFRONT, "ERROR: The request could not be satisfied"),
    (407, SQUID, "The requested URL could not be retrieved & access denied"),
    (511, CAPTIVE, "Sign in to the network"),
    (500, "<html><title>\x1b[2J\u202e</title>", "\\x1b[2J\\u202e"),
]


@pytest.mark.parametrize(("status", "page", "title"), PAGES)
def test_page_of_a_proxy_is_shown_by_its_title(status: int, page: str, title: str) -> None:
    error = error_of(status, page.encode(), content_type="text/html")
    assert type(error) is ServiceError
    assert (error.code, error.status, error.message) == (str(status), status, "")
    start = f"{status} ({status}): an HTML page instead of an error: {title} (a proxy or load"
    assert str(error).startswith(start)
    assert "check endpoint_url and the proxies" in str(error)
    assert str(error).isprintable()


def test_page_without_text_is_still_shown_as_a_page() -> None:
    error = error_of(502, b"<!doctype html><html><body><img src='x'></body></html>")
    assert str(error).startswith("502 (502): an HTML page instead of an error (a proxy")


@pytest.mark.parametrize("body", [b"", b"upstream error", b"<?xml version='1.0'?><a/>", b"<"])
def test_other_bodies_are_not_shown_as_a_page(body: bytes) -> None:
    error = error_of(503, body)
    assert page_text(body) is None
    assert str(error) == "503 (503): no message"


def test_title_of_a_page_is_limited_to_200_characters() -> None:
    title = page_text(b"<html><title>" + b"a" * 3000)
    assert title == "a" * MAX_TITLE
    assert page_text(b"<html>" + b" " * 10_000 + b"<title>late</title>") == ""


HOSTILE = {
    "titles": "<html>" + "<title" * 1000,
    "tags": "<html>" + "<" * 4000,
    "scripts": "<html>" + "<script>" * 500,
    "entities": "<html>" + "&" * 4000,
    "relays": "Received server error (500) from " * 2000,
    "references": 'Received server error (500) from x with message "' + '". See http' * 6000,
    "endpoints": "ValidationError" + " endpoint not" * 5000,
    "errors": "error (502) from <" * 4000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_searched_in_linear_time(text: str) -> None:
    begun = time.process_time()
    page_text(text.encode())
    parse_relayed_error(text[: 64 * 1024])
    hint_for(text[:2048])
    assert time.process_time() - begun < 0.5
