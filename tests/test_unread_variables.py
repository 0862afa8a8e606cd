"""A failure names the variables of the environment that no client uses and that may explain it."""

from __future__ import annotations

import pickle
import ssl
from typing import Any

import pytest
import trustme

from smruntime_core import DispatchFailure, RetryPolicy
from smruntime_core.errors import DispatchTimeout, Kind
from smruntime_transports.connect._unused_variables import advise

from .callers import IRIS, PERFORMERS, Performer, Step
from .servers import OK, closed_port, scripted

PASSWORD = "hush"
PROXY = f"http://me:{PASSWORD}@proxy.corp.example:3128"
ORIGIN = ("https", "models.invalid")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("https_proxy", "http_proxy", "all_proxy", "no_proxy")
    for name in (*names, *map(str.upper, names), "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=PERFORMERS)
def perform(request: pytest.FixtureRequest) -> Performer:
    return PERFORMERS[request.param]


def call_and_fail(perform: Performer, url: str, **settings: Any) -> DispatchFailure:
    one_attempt = RetryPolicy(max_attempts=1)
    (error,) = perform(url, Step(IRIS), retries=one_attempt, **settings)
    assert isinstance(error, DispatchFailure), error
    return error


def test_unresolved_host_names_the_proxy_variable(
    perform: Performer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    error = call_and_fail(perform, "https://models.invalid")
    assert error.phase == "resolve"
    assert error.hint == "HTTPS_PROXY is set but not read: pass proxy=, or trust_env=True"
    assert str(error).endswith(f"; {error.hint}")
    assert PASSWORD not in f"{error} {error!r} {error.__dict__}"


def test_refused_connection_names_the_variable_of_its_scheme(
    perform: Performer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    with closed_port() as url:
        failure = str(call_and_fail(perform, url))
        assert "HTTPS_PROXY" not in failure, "HTTPS_PROXY says nothing of http"
        assert failure.endswith("; check endpoint_url= and region=")
        monkeypatch.setenv("all_proxy", PROXY)
        assert "all_proxy is set but not read" in str(call_and_fail(perform, url))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        failure = str(call_and_fail(perform, url))
        assert "all_proxy" not in failure, "other clients connect directly too"


def test_untrusted_certificate_names_the_bundle_variable(
    perform: Performer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/corp.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with scripted(OK, tls=context) as server:
        error = call_and_fail(perform, server.url.replace("127.0.0.1", "localhost"))
    assert (error.phase, error.kind) == ("tls", "tls")
    assert "REQUESTS_CA_BUNDLE is set but not read: set AWS_CA_BUNDLE, or pass" in str(error)


def test_hint_survives_pickling_and_is_printable() -> None:
    kinds: dict[Kind, type[DispatchFailure]] = {
        "timeout": DispatchTimeout,
        "refused": DispatchFailure,
    }
    for kind, error_class in kinds.items():
        error = DispatchFailure("x", kind=kind, phase="connect", delivery="not_sent")
        error.hint = "a\nb"
        unpickled = pickle.loads(pickle.dumps(error))
        assert type(unpickled) is error_class
        assert str(unpickled) == str(error) == f"x ({kind} in phase connect, not sent); a\\nb"


@pytest.mark.parametrize("proxy", ["ftp://nothing", "http://[", " "])
def test_variable_that_names_no_proxy_is_not_blamed(proxy: str) -> None:
    error = DispatchFailure("x", kind="refused", phase="connect", delivery="not_sent")
    advise(error, ORIGIN, {"HTTPS_PROXY": proxy})
    assert error.hint is None
