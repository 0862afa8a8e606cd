"""Unmodified libraries with the client shaped like boto3's, against the local endpoint.

Each library is tested in an environment of its own, where it is installed: `tools/test-boto-with`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

import smruntime_local
from smruntime_local import Call, Endpoint
from smruntime_transports import boto
from smruntime_transports.boto import aio

TOKENS = ("Once ", "upon ", "a time.")
STORY = "".join(TOKENS)


def sent(call: Call) -> Any:
    """Return the JSON that a model received."""
    return call.json()


def needs(package: str) -> pytest.MarkDecorator:
    reason = f"tools/test-boto-with installs {package} in an environment of its own"
    return pytest.mark.skipif(find_spec(package) is None, reason=reason)


def generate(call: Call) -> object:
    return [{"generated_text": f"{sent(call)['inputs']}: {STORY}"}]


def generate_lines(call: Call) -> Iterator[object]:
    for token in TOKENS:
        yield {"outputs": [token]}


def complete_chat(call: Call) -> object:
    """Answer as an OpenAI-like container does, in pieces cut inside of its events."""
    if not sent(call).get("stream"):
        message = {"role": "assistant", "content": STORY}
        return {"choices": [{"message": message, "finish_reason": "stop"}]}
    return stream_chat()


def stream_chat() -> Iterator[bytes]:
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"content": token}, None) for token in TOKENS
    ]
    deltas.append(({}, "stop"))
    for delta, finish_reason in deltas:
        event = {"choices": [{"delta": delta, "finish_reason": finish_reason}]}
        line = f"data: {json.dumps(event)}\n\n".encode()
        yield line[:9]
        yield line[9:]


def predict(call: Call) -> object:
    return {"predictions": [x * 2 for (x,) in sent(call)["dataframe_split"]["data"]]}


def add(call: Call) -> object:
    return {"sum": sum(sent(call))}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    models: dict[str, Any] = {
        "generate": generate,
        "lines": generate_lines,
        "chat-like": complete_chat,
        "predict": predict,
        "add": add,
    }
    with smruntime_local.serve(models=models) as served:
        yield served


@pytest.fixture
def session(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> boto.Session:
    """Return a session that reads the endpoint's settings in the environment."""
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)
    return boto.Session(region_name=endpoint.region)


@pytest.fixture
def client(session: boto.Session) -> Iterator[boto.SageMakerRuntimeClient]:
    made = session.client("sagemaker-runtime")
    yield made
    made.close()


def make_handler(base: Any, transform_input: Any, transform_output: Any) -> Any:
    members = {
        "content_type": "application/json",
        "accepts": "application/json",
        "transform_input": lambda _, *args: transform_input(*args),
        "transform_output": lambda _, output: transform_output(output),
    }
    return type("Handler", (base,), members)()


@needs("langchain_aws")
def test_langchain_llm_answers_and_streams(client: boto.SageMakerRuntimeClient) -> None:
    llms = import_module("langchain_aws.llms.sagemaker_endpoint")

    def write(prompt: str, options: dict[str, object]) -> bytes:
        return json.dumps({"inputs": prompt, "parameters": options}).encode()

    whole = llms.SagemakerEndpoint(
        endpoint_name="generate",
        client=client,
        content_handler=make_handler(
            llms.LLMContentHandler, write, lambda body: json.load(body)[0]["generated_text"]
        ),
    )
    assert whole.invoke("tale") == f"tale: {STORY}"
    streamed = llms.SagemakerEndpoint(
        endpoint_name="lines",
        client=client,
        streaming=True,
        content_handler=make_handler(
            llms.LLMContentHandler, write, lambda line: json.loads(line)["outputs"][0]
        ),
    )
    assert list(streamed.stream("tale")) == list(TOKENS)
    with pytest.raises(client.exceptions.ValidationError):
        whole.model_copy(update={"endpoint_name": "nowhere"}).invoke("tale")


@needs("langchain_aws")
def test_langchain_chat_model_answers_and_streams(client: boto.SageMakerRuntimeClient) -> None:
    chats = import_module("langchain_aws.chat_models.sagemaker_endpoint")
    messages = import_module("langchain_core.messages")

    def write(prompt: list[dict[str, Any]], options: dict[str, object]) -> bytes:
        return json.dumps({"inputs": prompt[-1]["content"], **options}).encode()

    whole = chats.ChatSagemakerEndpoint(
        endpoint_name="generate",
        client=client,
        content_handler=make_handler(
            chats.ChatModelContentHandler,
            write,
            lambda body: messages.AIMessage(json.loads(body.read())[0]["generated_text"]),
        ),
    )
    assert whole.invoke("tale").content == f"tale: {STORY}"
    streamed = chats.ChatSagemakerEndpoint(
        endpoint_name="lines",
        client=client,
        streaming=True,
        content_handler=make_handler(
            chats.ChatModelContentHandler,
            write,
            lambda line: messages.AIMessageChunk(json.loads(line)["outputs"][0]),
        ),
    )
    assert "".join(chunk.content for chunk in streamed.stream("tale")) == STORY


@needs("sagemaker")
@pytest.mark.filterwarnings("default")  # of sagemaker v2, about itself
def test_sagemaker_predictor_answers_and_streams(client: boto.SageMakerRuntimeClient) -> None:
    sagemaker = import_module("sagemaker")
    predictors = import_module("sagemaker.predictor")
    iterators = import_module("sagemaker.iterators")
    session = sagemaker.Session(
        boto_session=import_module("boto3").Session(region_name=client.meta.region_name),
        sagemaker_runtime_client=client,
    )
    predictor = predictors.Predictor(
        "add",
        session,
        import_module("sagemaker.serializers").JSONSerializer(),
        import_module("sagemaker.deserializers").JSONDeserializer(),
    )
    assert predictor.predict([1, 2, 3]) == {"sum": 6}
    streaming = predictors.Predictor("lines", session)
    lines = list(streaming.predict_stream(b"{}", iterator=iterators.LineIterator))
    assert [json.loads(line)["outputs"][0] for line in lines] == list(TOKENS)
    assert b"".join(streaming.predict_stream(b"{}")) == b"".join(line + b"\n" for line in lines)


@needs("strands")
@pytest.mark.parametrize("stream", [True, False])
def test_strands_agent_answers(session: boto.Session, *, stream: bool) -> None:
    models = import_module("strands.models.sagemaker")
    model = models.SageMakerAIModel(
        {"endpoint_name": "chat-like", "region_name": session.region_name},
        {"max_tokens": 100, "stream": stream},
        boto_session=session,
    )
    agent = import_module("strands").Agent(model=model, callback_handler=None)
    assert str(agent("Tell a tale")).strip() == STORY
    model.client.close()


@needs("haystack_integrations")
def test_haystack_generator_answers(client: boto.SageMakerRuntimeClient) -> None:
    generators = import_module("haystack_integrations.components.generators.amazon_sagemaker")
    generator = generators.SagemakerGenerator(model="generate")
    generator.client = client  # it passes "" for CustomAttributes
    assert generator.run("tale")["replies"] == [f"tale: {STORY}"]


@needs("mlflow")
@pytest.mark.filterwarnings("default")  # of mlflow's own dependencies
def test_mlflow_deployment_predicts(session: boto.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("boto3") is None:
        pytest.skip("tools/test-boto-with installs boto3 beside mlflow")
    monkeypatch.setattr(import_module("boto3"), "client", boto.client)
    pandas = import_module("pandas")
    deployments = import_module("mlflow.deployments")
    deployment = deployments.get_deploy_client(f"sagemaker:/{session.region_name}")
    answer = deployment.predict("predict", pandas.DataFrame({"x": [1, 2]}))
    assert answer == {"predictions": [2, 4]}


def without_accept(result: Any) -> Any:
    """Leave out the Accept field that aiohttp adds, which echo returns."""
    result.get("ResponseMetadata", {}).get("HTTPHeaders", {}).pop("content-length", None)
    body = result.get("Body")
    if isinstance(body, list):
        body = b"".join(part["PayloadPart"]["Bytes"] for part in body)
    if isinstance(body, bytes):
        result["Body"] = body.replace(b', "accept": "*/*"', b"")
    return result


async def perform_each(endpoint: Endpoint, session: Any, make_config: Any) -> dict[str, object]:
    """Return what each call gives that can be equal, by its name."""
    from .boto_calls import CALLS, NETWORK_CALLS, describe, perform_async

    keys = endpoint.credentials
    results: dict[str, object] = {}
    for call in CALLS:
        if call.difference or call in NETWORK_CALLS:  # aiohttp names these failures otherwise
            continue
        async with session.create_client(
            "sagemaker-runtime",
            region_name=endpoint.region,
            endpoint_url=endpoint.url,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.session_token,
            config=make_config(**call.config),
        ) as client:
            result = await perform_async(client, call, endpoint)
            results[call.name] = without_accept(describe(result))
    return results


@needs("aiobotocore")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of aiohttp
def test_aiobotocore_gives_the_same(endpoint: Endpoint) -> None:
    make_config = import_module("aiobotocore.config").AioConfig
    their_session = import_module("aiobotocore.session").get_session()
    theirs = asyncio.run(perform_each(endpoint, their_session, make_config))
    ours = asyncio.run(perform_each(endpoint, aio.get_session(), SimpleNamespace))
    assert len(theirs) >= 60
    assert ours == theirs


def test_the_models_here_answer(client: boto.SageMakerRuntimeClient) -> None:
    answer = client.invoke_endpoint(EndpointName="add", Body="[1, 2]")
    assert json.load(answer["Body"]) == {"sum": 3}
