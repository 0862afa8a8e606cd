"""Configured endpoints: variants, several models, components, workers and data capture."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_json
from smruntime_local import Call, EndpointConfig, InferenceComponent, Variant, read_config
from smruntime_transports.sockets import Client


def named(name: str) -> Any:
    return lambda call: name


def client_of(endpoint: smruntime_local.Endpoint) -> Client:
    return Client(
        region=endpoint.region,
        endpoint_url=endpoint.url,
        credentials=endpoint.credentials,
        retries=sm.RetryPolicy(max_attempts=1),
    )


def count_workers(call: Call) -> int:
    return call.worker


def sleep_long(call: Call) -> str:
    time.sleep(5)
    return "late"


def count_slowly(call: Call) -> Iterator[str]:
    for number in range(20):
        time.sleep(0.2)
        yield str(number)


def stop_after_one(call: Call) -> Iterator[str]:
    yield "one"
    time.sleep(5)


ENDPOINTS = {
    "plain": EndpointConfig(model=named("plain")),
    "ab": EndpointConfig(
        variants={"blue": Variant(named("b"), 3), "green": Variant(named("g"), 1)}, seed=7
    ),
    "many": EndpointConfig(
        target_models={"eu/a.tar.gz": named("a"), "b.tar.gz": named("b")}, load_seconds=0.3
    ),
    "direct": EndpointConfig(containers={"first": named("1"), "second": named("2")}),
    "parts": EndpointConfig(
        components={
            "ready": InferenceComponent(named("ready")),
            "asleep": InferenceComponent(named("awake"), copies=0, start_seconds=0.3),
        }
    ),
    "workers": EndpointConfig(model=count_workers, workers=3),
    "small": EndpointConfig(model=named("ok"), max_payload=10),
    "slow": EndpointConfig(model=sleep_long, model_seconds=0.2),
    "stuck": EndpointConfig(model=stop_after_one, model_seconds=0.2),
    "dripping": EndpointConfig(model=count_slowly, model_seconds=0.5),
    "built-in": EndpointConfig(model="echo"),
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with smruntime_local.serve(endpoints=ENDPOINTS) as endpoint, client_of(endpoint) as made:
        yield made


def test_variants_share_the_calls_by_their_weights(client: Client) -> None:
    outputs = [client.invoke_endpoint("ab", body=b"") for _ in range(200)]
    counts = Counter(output.invoked_production_variant for output in outputs)
    assert 120 <= counts["blue"] <= 180
    assert counts["blue"] + counts["green"] == 200
    assert all(output.text() == (output.invoked_production_variant or "")[0] for output in outputs)


def test_target_variant_chooses_one(client: Client) -> None:
    for variant in ("blue", "green"):
        output = client.invoke_endpoint("ab", body=b"", target_variant=variant)
        assert (output.invoked_production_variant, output.text()) == (variant, variant[0])
    with pytest.raises(sm.ValidationError, match="Variant red of endpoint ab not found"):
        client.invoke_endpoint("ab", body=b"", target_variant="red")


def test_target_model_is_loaded_by_its_first_call(client: Client) -> None:
    begun = time.monotonic()
    assert client.invoke_endpoint("many", body=b"", target_model="eu/a.tar.gz").text() == "a"
    loaded = time.monotonic()
    assert loaded - begun >= 0.3
    assert client.invoke_endpoint("many", body=b"", target_model="eu/a.tar.gz").text() == "a"
    assert time.monotonic() - loaded < 0.3


def test_missing_target_model_is_a_model_error(client: Client) -> None:
    with pytest.raises(sm.ModelError, match=r"Failed to download.*c\.tar\.gz") as caught:
        client.invoke_endpoint("many", body=b"", target_model="c.tar.gz")
    assert (caught.value.status, caught.value.original_status_code) == (424, 404)
    with pytest.raises(sm.ValidationError, match="needs a target model"):
        client.invoke_endpoint("many", body=b"")


def test_container_is_chosen_by_its_hostname(client: Client) -> None:
    output = client.invoke_endpoint("direct", body=b"", target_container_hostname="second")
    assert output.text() == "2"
    with pytest.raises(sm.ValidationError, match="needs a target container hostname"):
        client.invoke_endpoint("direct", body=b"")
    with pytest.raises(sm.ValidationError, match="third of direct not found"):
        client.invoke_endpoint("direct", body=b"", target_container_hostname="third")


def test_inference_component_is_required_where_there_are_some(client: Client) -> None:
    output = client.invoke_endpoint("parts", body=b"", inference_component_name="ready")
    assert output.text() == "ready"
    with pytest.raises(sm.ValidationError, match="header is required") as caught:
        client.invoke_endpoint("parts", body=b"")
    assert caught.value.hint
    with pytest.raises(sm.ValidationError, match="not found"):
        client.invoke_endpoint("parts", body=b"", inference_component_name="other")


def test_component_without_copies_has_no_capacity_and_then_is_ready(client: Client) -> None:
    call = sm.InvokeEndpoint("parts", body=b"", inference_component_name="asleep")
    for _ in range(2):
        with pytest.raises(sm.ValidationError, match="has no capacity"):
            client.call(call)
    assert client.with_options(wait_for_capacity=10).call(call).text() == "awake"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("inference_component_name", "c"),
        ("target_model", "m"),
        ("target_container_hostname", "h"),
        ("target_variant", "v"),
    ],
)
def test_member_that_an_endpoint_cannot_use_is_refused(
    client: Client, member: str, value: str
) -> None:
    members: Any = {member: value}
    with pytest.raises(sm.ValidationError):
        client.invoke_endpoint("plain", body=b"", **members)
    assert client.invoke_endpoint("plain", body=b"", target_variant="AllTraffic").text() == "plain"


def test_calls_with_one_prefix_go_to_one_worker(client: Client) -> None:
    def worker(**members: Any) -> object:
        return client.invoke_endpoint("workers", body=b"", **members).json()

    assert {worker() for _ in range(6)} == {0, 1, 2}
    for prefix in ("chat-1", "chat-2", "chat-3"):
        assert len({worker(prefix_aware_id=prefix) for _ in range(5)}) == 1
    assert len({worker(prefix_aware_id=f"chat-{number}") for number in range(30)}) == 3


def test_payload_beyond_the_limit_is_refused(client: Client) -> None:
    assert client.invoke_endpoint("small", body=bytes(10)).text() == "ok"
    with pytest.raises(sm.ServiceError, match="exceeds the limit of 10 bytes") as caught:
        client.invoke_endpoint("small", body=bytes(11))
    assert caught.value.status == 413


def test_function_that_takes_too_long_is_a_model_error(client: Client) -> None:
    with pytest.raises(sm.ModelError, match="timed out"):
        client.invoke_endpoint("slow", body=b"")
    with client.invoke_endpoint_with_response_stream("stuck", body=b"") as stream:
        parts = stream.bytes()
        assert next(parts) == b"one"
        with pytest.raises(sm.ModelStreamError, match="timed out") as caught:
            next(parts)
    assert caught.value.error_code == "ModelInvocationTimeExceeded"


def test_time_limit_of_a_whole_answer_is_that_of_the_endpoint(client: Client) -> None:
    begun = time.monotonic()
    with pytest.raises(sm.ModelError, match=r"not complete after 0\.5 seconds"):
        client.invoke_endpoint("dripping", body=b"")
    assert time.monotonic() - begun < 4


def test_model_is_named_by_a_text(client: Client) -> None:
    echoed: Any = client.invoke_endpoint("built-in", body=b"x").json()
    assert echoed["endpoint_name"] == "built-in"


def test_model_is_imported_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_models.py").write_text("def churn(call):\n    return call.text() + '!'\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = EndpointConfig(model="my_models:churn")
    with (
        smruntime_local.serve(endpoints={"churn": config}) as endpoint,
        client_of(endpoint) as client,
    ):
        assert client.invoke_endpoint("churn", body=b"a").text() == "a!"


def test_calls_are_captured_in_a_file(tmp_path: Path) -> None:
    capture = tmp_path / "captured.jsonl"
    config = EndpointConfig(model=lambda call: {"n": 1}, capture=capture)
    with (
        smruntime_local.serve(endpoints={"churn": config}) as endpoint,
        client_of(endpoint) as client,
    ):
        client.invoke_endpoint("churn", **as_json([1]), inference_id="i-1")
        client.invoke_endpoint("churn", body=b"\xff")
        with client.invoke_endpoint_with_response_stream("churn", body=b"x") as stream:
            stream.read()
    first, second, third = map(json.loads, capture.read_text().splitlines())
    assert first["captureData"] == {
        "endpointInput": {
            "observedContentType": "application/json",
            "mode": "INPUT",
            "data": "[1]",
            "encoding": "JSON",
        },
        "endpointOutput": {
            "observedContentType": "application/json",
            "mode": "OUTPUT",
            "data": '{"n": 1}',
            "encoding": "JSON",
        },
    }
    assert first["eventMetadata"]["inferenceId"] == "i-1"
    assert second["captureData"]["endpointInput"]["encoding"] == "BASE64"
    assert "endpointOutput" not in third["captureData"]


def test_file_of_captured_calls_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    config = EndpointConfig(model=lambda call: "a", capture=tmp_path / "missing" / "file")
    with (
        smruntime_local.serve(endpoints={"churn": config}) as endpoint,
        client_of(endpoint) as client,
    ):
        for call in (client.invoke_endpoint, client.invoke_endpoint_with_response_stream):
            with pytest.raises(sm.ModelError, match="FileNotFoundError"):
                call("churn", body=b"")


TOML = """
[endpoints.plain]
model = "echo"
workers = 2
capture = "captured.jsonl"

[endpoints.ab.variants.blue]
model = "iris"
weight = 9

[endpoints.ab.variants.green]
model = "echo"

[endpoints.many]
load_seconds = 0.5
target_models = { "a.tar.gz" = "echo" }

[endpoints.llm.components.small]
model = "ngram"
copies = 0
start_seconds = 2.5
"""


def test_endpoints_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.toml"
    file.write_text(TOML)
    assert read_config(file) == {
        "plain": EndpointConfig(model="echo", workers=2, capture=tmp_path / "captured.jsonl"),
        "ab": EndpointConfig(variants={"blue": Variant("iris", 9), "green": Variant("echo")}),
        "many": EndpointConfig(target_models={"a.tar.gz": "echo"}, load_seconds=0.5),
        "llm": EndpointConfig(components={"small": InferenceComponent("ngram", 0, 2.5)}),
    }
    with (
        smruntime_local.serve(endpoints=read_config(file)) as endpoint,
        client_of(endpoint) as client,
    ):
        client.invoke_endpoint("plain", body=b"x")
    assert (tmp_path / "captured.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[endpoints.e", "Expected"),
        ("[endpoint.e]", "unknown key endpoint"),
        ("[endpoints]\ne = 1", "endpoints.e must be a table"),
        ("[endpoints.e]", "exactly one of model, variants"),
        (
            '[endpoints.e]\nmodel = "echo"\ncontainers = { a = "echo" }',
            "found model and containers",
        ),
        ('[endpoints.e]\nmodel = "echo"\nworker = 2', "unknown key worker; known are model"),
        ('[endpoints.e]\nmodel = "echo"\nworkers = 0', "workers=0: must be a whole number"),
        ('[endpoints.e]\nmodel = "echo"\nmodel_seconds = -1', "model_seconds=-1: must be a number"),
        ("[endpoints.e.variants.v]\nweight = 2", "endpoints.toml: endpoints.e.variants.v: "),
        ("[endpoints.e.variants]\nv = 2", "endpoints.toml: endpoints.e.variants.v must be"),
        ('[endpoints.e.variants.v]\nmodel = "echo"\nweight = 0', "at least one weight"),
        ('[endpoints.e.components.c]\nmodel = "echo"\ncopies = -1', "copies=-1"),
        ('[endpoints.e.variants."a b"]\nmodel = "echo"', "target_variant"),
    ],
)
def test_invalid_file_is_refused_with_what_is_wrong(
    tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "endpoints.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"endpoints\.toml") as caught:
        read_config(file)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nothing", "must be a URL, module:function, or one of chat, echo"),
        ("json:nothing", "the module has no such function"),
        ("http://127.0.0.1:1/?q=1", "must be an http"),
    ],
)
def test_text_that_names_no_model_is_refused(source: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        smruntime_local.serve(endpoints={"e": EndpointConfig(model=source)})


@pytest.mark.parametrize("minutes", [20, -20])
def test_client_corrects_its_clock_by_that_of_the_endpoint(minutes: int) -> None:
    config = EndpointConfig(model=named("ok"), clock_seconds=60.0 * minutes)
    with (
        smruntime_local.serve(endpoints={"churn": config}) as endpoint,
        client_of(endpoint) as client,
    ):
        for outcomes in (["InvalidSignatureException", "ok"], ["ok"]):
            output = client.invoke_endpoint("churn", body=b"")
            assert [attempt.outcome for attempt in output.metadata.attempts] == outcomes
