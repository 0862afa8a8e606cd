"""Log records: one INFO line per attempt, the rest at DEBUG, none unless logging is on."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys

import pytest

import smruntime_core as sm
from smruntime_core.notices import Notice
from smruntime_transports import sockets
from smruntime_transports.client import _logging

from .callers import STREAMED, Performer, Step
from .servers import OK, scripted
from .test_jobs import settings

LOGGER = "smruntime"
EAGER = sm.RetryPolicy(base_delay=0.0)


def refusal(code: str, status: int = 503) -> bytes:
    body = json.dumps({"__type": code, "Message": "the message"}).encode()
    return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def test_each_attempt_is_one_line_at_info(
    perform: Performer, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, LOGGER),
        scripted(refusal("ServiceUnavailable"), OK, 5.0) as server,
    ):
        perform(server.url, Step(), Step(options={"timeout": 0.2}), retries=EAGER)
    assert {(record.name, record.levelno) for record in caplog.records} == {(LOGGER, logging.INFO)}
    shape = (
        r"AttemptEnded InvokeEndpoint number=%s outcome=%s seconds=\d+\.\d{3}%s \[[0-9a-f-]{36}\]"
    )
    for message, told in zip(
        caplog.messages,
        (
            ("1", "ServiceUnavailable", " status=503"),
            ("2", "ok", " status=200 request_id=r-1"),
            ("1", "timeout", ""),
        ),
        strict=True,
    ):
        assert re.fullmatch(shape % told, message), message


def test_every_notice_is_one_line_at_debug(
    perform: Performer, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.DEBUG, LOGGER),
        scripted(refusal("ServiceUnavailable"), OK) as server,
    ):
        perform(server.url, retries=EAGER)
    ours = [record for record in caplog.records if record.name == LOGGER]
    told = [record.getMessage().split()[0] for record in ours]
    attempt = ["AttemptStarted", "FirstByte", "AttemptEnded"]
    assert told == ["RequestBuilt", *attempt, "Waiting", *attempt, "CallEnded"]
    assert [record.levelname for record in ours] == [
        "INFO" if name == "AttemptEnded" else "DEBUG" for name in told
    ]
    assert "method=POST path=/endpoints/iris/invocations size=15" in ours[0].getMessage()


def test_stream_is_logged(perform: Performer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, LOGGER), scripted(refusal("ValidationError", 400)) as server:
        perform(server.url, Step(STREAMED))
    (message,) = caplog.messages
    assert message.startswith(
        "AttemptEnded InvokeEndpointWithResponseStream number=1 outcome=ValidationError "
    )


def test_observer_and_log_receive_the_same_call(
    perform: Performer, caplog: pytest.LogCaptureFixture
) -> None:
    notices: list[Notice] = []
    with caplog.at_level(logging.INFO, LOGGER), scripted(OK) as server:
        perform(server.url, observe=notices.append)
    assert len(notices) == 5
    assert len(caplog.messages) == 1


def test_server_cannot_forge_a_line(perform: Performer, caplog: pytest.LogCaptureFixture) -> None:
    hostile = "Bad\r\nAttemptEnded forged\x1b[31m\u2028\ud800" + "x" * 5000
    answer = refusal(hostile, 400).replace(b"x\r\n", b"x\r\nx-amzn-RequestId: \xff\x85\xad\r\n", 1)
    with caplog.at_level(logging.DEBUG, LOGGER), scripted(answer) as server:
        perform(server.url)
    for record in caplog.records:
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 1000
    assert any(
        r"outcome=Bad\r\nAttemptEnded forged\x1b[31m\u2028\ud800" in message
        for message in caplog.messages
    )


def test_nothing_of_request_or_response_is_logged(
    perform: Performer, caplog: pytest.LogCaptureFixture
) -> None:
    operation = sm.InvokeEndpoint(
        endpoint_name="e", body=b"the body", custom_attributes="the attributes"
    )
    with caplog.at_level(logging.DEBUG), scripted(refusal("ValidationError", 400)) as server:
        perform(server.url, Step(operation, {"extra_headers": {"x-a": "more"}}))
    for said in (
        "the message",
        "the body",
        "the attributes",
        "AKIDEXAMPLE",
        "a-session-token",
        "more",
        "Signature",
    ):
        assert said not in caplog.text, said


def test_nothing_is_logged_below_the_logger_s_level(
    perform: Performer, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted(OK) as server:
        perform(server.url)
    assert not [record for record in caplog.records if record.name == LOGGER]


PROGRAM = """
import sys
import smruntime_core as sm
from smruntime_transports.sockets import Client
keys = sm.Credentials("AKIDEXAMPLE", "a-secret", "a-session-token")
with Client(region="us-east-1", endpoint_url=sys.argv[1], credentials=keys) as client:
    client.invoke_endpoint(endpoint_name="iris", body=b"the body")
with Client(region="us-east-1", endpoint_url=sys.argv[1], credentials=keys) as client:
    client.invoke_endpoint(endpoint_name="iris", body=b"the body")
"""


@pytest.mark.parametrize(
    ("wanted", "lines"), [("info", 2), ("DEBUG", 10), (" Debug ", 10), ("", 0), (None, 0)]
)
def test_environment_variable_turns_logging_on(wanted: str | None, lines: int) -> None:
    """Each line goes to standard error once, however many clients there are."""
    environment = {name: value for name, value in os.environ.items() if name != "SMRUNTIME_LOG"}
    if wanted is not None:
        environment["SMRUNTIME_LOG"] = wanted
    with scripted(OK, OK) as server:
        command = [sys.executable, "-c", PROGRAM, server.url]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    found = done.stderr.splitlines()
    assert len(found) == lines
    for line in found:
        assert re.match(
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (INFO|DEBUG) smruntime [A-Z]\w+ InvokeEndpoint ",
            line,
        ), line
        assert "secret" not in line
        assert "token" not in line


def test_unknown_level_is_ignored_with_one_warning_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The value is not quoted, since a variable may hold anything."""
    monkeypatch.setenv("SMRUNTIME_LOG", "hush")
    _logging._warn_of_level.cache_clear()

    def make_calls(url: str) -> None:
        for _ in range(2):
            with sockets.Client(**settings(url)) as client:
                client.invoke_endpoint(endpoint_name="iris", body=b"1")

    with scripted(OK, OK) as server, pytest.warns(RuntimeWarning) as warned:
        make_calls(server.url)
    (warning,) = warned
    assert str(warning.message) == (
        "SMRUNTIME_LOG has an unknown level and is ignored: set it to info or debug"
    )


def test_program_with_logging_keeps_its_handlers() -> None:
    logged = (
        "import logging; logging.getLogger('smruntime').addHandler(logging.NullHandler())\n"
        + PROGRAM
    )
    with scripted(OK, OK) as server:
        command = [sys.executable, "-c", logged, server.url]
        environment = {**os.environ, "SMRUNTIME_LOG": "info"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_program_without_logging_does_not_import_it() -> None:
    asked = PROGRAM + "assert 'logging' not in sys.modules\n"
    environment = {name: value for name, value in os.environ.items() if name != "SMRUNTIME_LOG"}
    with scripted(OK, OK) as server:
        command = [sys.executable, "-c", asked, server.url]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
