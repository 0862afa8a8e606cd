"""Each SDK, unmodified, behind the same few methods: what `test_sdks` asks of all of them.

An adapter is made for an endpoint of `sdk_models`, with members of the transport. Its SDK is
imported when it is made.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar, Final, cast

import smruntime_local

from .sdk_models import MODELS, make_async_client, make_client

BASE_URL: Final = "http://sagemaker/v1"
HELLO: Final = [{"role": "user", "content": "hi"}]
WEATHER: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Return the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
# The exceptions of OpenAI's SDK by status; "timeout", "broken" and "failed" are a time limit that
# passed, a stream that broke off, and one that an error ended.
OPENAI_ERRORS: Final = {
    400: "BadRequestError",
    403: "PermissionDeniedError",
    424: "APIStatusError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "InternalServerError",
    "timeout": "APITimeoutError",
    "broken": "APIConnectionError",
    "failed": "APIError",
}


class Adapter:
    """An SDK over the transports. Lists of text are the pieces of a stream."""

    package: ClassVar[str]
    library: ClassVar[str] = "httpx2"
    errors: ClassVar[dict[Any, str]] = OPENAI_ERRORS
    can_embed: ClassVar[bool] = True
    has_async: ClassVar[bool] = True
    model = "chat"

    def __init__(
        self, endpoint: smruntime_local.Endpoint, timeout: float = 30, **members: Any
    ) -> None:
        self.timeout = timeout
        self._closing = ExitStack()
        self._client = self._closing.enter_context(make_client(endpoint))
        self._async_client = make_async_client(endpoint)
        self._closing.callback(self._async_client.close)
        http = importlib.import_module(self.library)
        transports = importlib.import_module(f"smruntime_transports.openai.{self.library}")
        members = {"models": MODELS, **members}
        self.transport = transports.SageMakerTransport(self._client, str, **members)
        self.async_transport = transports.AsyncSageMakerTransport(
            self._async_client, str, **members
        )
        self.http = self._closing.enter_context(http.Client(transport=self.transport))
        self.async_http = http.AsyncClient(transport=self.async_transport)
        self.prepare()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def prepare(self) -> None:
        """Make the SDK's client."""
        raise NotImplementedError

    def chat(self) -> str:
        """Return the model's text."""
        raise NotImplementedError

    def stream(self) -> Iterator[str]:
        """Yield the model's text in pieces."""
        raise NotImplementedError

    def tool(self) -> tuple[str, Any]:
        """Return the name of the tool that the model calls, and its arguments."""
        raise NotImplementedError

    def usage(self) -> int:
        """Return the number of all tokens."""
        raise NotImplementedError

    def embed(self) -> list[float]:
        """Return an embedding."""
        raise NotImplementedError

    async def chat_async(self) -> str:
        """Return the model's text, awaited."""
        raise NotImplementedError


class OpenAI(Adapter):
    """OpenAI's SDK on httpx2."""

    package = "openai"

    def prepare(self) -> None:
        sdk = importlib.import_module("openai")
        arguments = {"base_url": BASE_URL, "api_key": "-", "timeout": self.timeout}
        self.sdk = sdk.OpenAI(http_client=self.http, **arguments)
        self.async_sdk = sdk.AsyncOpenAI(http_client=self.async_http, **arguments)

    def chat(self) -> str:
        answer = self.sdk.chat.completions.create(model=self.model, messages=HELLO)
        return str(answer.choices[0].message.content)

    def stream(self) -> Iterator[str]:
        chunks = self.sdk.chat.completions.create(model=self.model, messages=HELLO, stream=True)
        with chunks:
            for chunk in chunks:
                yield chunk.choices[0].delta.content or ""

    def tool(self) -> tuple[str, Any]:
        answer = self.sdk.chat.completions.create(model=self.model, messages=HELLO, tools=[WEATHER])
        function = answer.choices[0].message.tool_calls[0].function
        return function.name, function.arguments

    def usage(self) -> int:
        *_, last = self.sdk.chat.completions.create(
            model=self.model, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        return int(last.usage.total_tokens)

    def embed(self) -> list[float]:
        answer = self.sdk.embeddings.create(model="embeddings", input=["a", "b"])
        return list(answer.data[1].embedding)

    async def chat_async(self) -> str:
        answer = await self.async_sdk.chat.completions.create(model=self.model, messages=HELLO)
        return str(answer.choices[0].message.content)


class OpenAIOnHttpx(OpenAI):
    """OpenAI's SDK on httpx."""

    library = "httpx"


class Anthropic(Adapter):
    """Anthropic's SDK."""

    package = "anthropic"
    can_embed = False
    model = "messages"
    errors: ClassVar[dict[Any, str]] = {
        **OPENAI_ERRORS,
        503: "ServiceUnavailableError",
        "broken": "RemoteProtocolError",
        "failed": "APIStatusError",
    }

    def prepare(self) -> None:
        sdk = importlib.import_module("anthropic")
        arguments = {"base_url": "http://sagemaker", "api_key": "-", "timeout": self.timeout}
        self.sdk = sdk.Anthropic(http_client=self.http, **arguments)
        self.async_sdk = sdk.AsyncAnthropic(http_client=self.async_http, **arguments)
        self.request = {"model": self.model, "max_tokens": 9, "messages": HELLO}

    def chat(self) -> str:
        return str(self.sdk.messages.create(**self.request).content[0].text)

    def stream(self) -> Iterator[str]:
        request = {**self.request, "model": self.model}
        with self.sdk.messages.stream(**request) as answer:
            yield from answer.text_stream

    def tool(self) -> tuple[str, Any]:
        tool = {"name": "weather", "input_schema": WEATHER["function"]["parameters"]}
        with self.sdk.messages.stream(**self.request, tools=[tool]) as answer:
            block = answer.get_final_message().content[0]
        return block.name, block.input

    def usage(self) -> int:
        usage = self.sdk.messages.create(**self.request).usage
        return int(usage.input_tokens + usage.output_tokens)

    async def chat_async(self) -> str:
        return str((await self.async_sdk.messages.create(**self.request)).content[0].text)


class LangChain(Adapter):
    """langchain-openai."""

    package = "langchain_openai"

    def prepare(self) -> None:
        sdk = importlib.import_module("langchain_openai")
        arguments = {
            "base_url": BASE_URL,
            "api_key": "-",
            "http_client": self.http,
            "http_async_client": self.async_http,
            "timeout": self.timeout,
        }
        self.sdk = sdk.ChatOpenAI(model=self.model, stream_usage=True, **arguments)
        self.embedder = sdk.OpenAIEmbeddings(
            model="embeddings", check_embedding_ctx_length=False, **arguments
        )

    def chat(self) -> str:
        return str(self.sdk.invoke("hi").content)

    def stream(self) -> Iterator[str]:
        sdk = self.sdk.model_copy(update={"model_name": self.model})
        for chunk in sdk.stream("hi"):
            yield str(chunk.content)

    def tool(self) -> tuple[str, Any]:
        call = self.sdk.bind_tools([WEATHER]).invoke("hi").tool_calls[0]
        return call["name"], call["args"]

    def usage(self) -> int:
        chunks = list(self.sdk.stream("hi"))
        return sum(chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata)

    def embed(self) -> list[float]:
        return list(self.embedder.embed_query("a"))

    async def chat_async(self) -> str:
        return str((await self.sdk.ainvoke("hi")).content)


class LiteLLM(OpenAI):
    """LiteLLM, with a client of OpenAI's SDK."""

    package = "litellm"
    errors: ClassVar[dict[Any, str]] = {
        **OPENAI_ERRORS,
        424: "APIError",
        503: "ServiceUnavailableError",
        "timeout": "Timeout",
        "broken": "MidStreamFallbackError",
        "failed": "APIError",
    }

    def prepare(self) -> None:
        super().prepare()
        self.litellm = cast("Any", importlib.import_module("litellm"))
        self.litellm.suppress_debug_info = True

    def _complete(self, **arguments: Any) -> Any:
        model = f"openai/{self.model}"
        return self.litellm.completion(
            model=model, messages=HELLO, client=self.sdk, timeout=self.timeout, **arguments
        )

    def chat(self) -> str:
        return str(self._complete().choices[0].message.content)

    def stream(self) -> Iterator[str]:
        for chunk in self._complete(stream=True):
            yield chunk.choices[0].delta.content or ""

    def tool(self) -> tuple[str, Any]:
        function = self._complete(tools=[WEATHER]).choices[0].message.tool_calls[0].function
        return function.name, function.arguments

    def usage(self) -> int:
        return int(self._complete().usage.total_tokens)

    def embed(self) -> list[float]:
        answer = self.litellm.embedding("openai/embeddings", input=["a"], client=self.sdk)
        return list(answer.data[0]["embedding"])

    async def chat_async(self) -> str:
        answer = await self.litellm.acompletion(
            model=f"openai/{self.model}",
            messages=HELLO,
            client=self.async_sdk,
            timeout=self.timeout,
        )
        return str(answer.choices[0].message.content)


class LlamaIndex(Adapter):
    """llama-index's OpenAI-like model, which retries by itself unless `max_retries=0`."""

    package = "llama_index.llms.openai_like"
    library = "httpx"
    errors: ClassVar[dict[Any, str]] = {**OPENAI_ERRORS, "broken": "RemoteProtocolError"}

    def prepare(self) -> None:
        arguments = {
            "api_base": BASE_URL,
            "api_key": "-",
            "http_client": self.http,
            "async_http_client": self.async_http,
            "timeout": self.timeout,
            "max_retries": 0,
        }
        self._sdk_type = importlib.import_module("llama_index.llms.openai_like").OpenAILike
        self._arguments = {**arguments, "is_chat_model": True, "is_function_calling_model": True}
        embedding_type = importlib.import_module("llama_index.embeddings.openai_like")
        self.embedder = embedding_type.OpenAILikeEmbedding(model_name="embeddings", **arguments)

    @property
    def sdk(self) -> Any:
        return self._sdk_type(model=self.model, **self._arguments)

    def chat(self) -> str:
        return str(self.sdk.complete("hi"))

    def stream(self) -> Iterator[str]:
        for answer in self.sdk.stream_complete("hi"):
            yield answer.delta or ""

    def tool(self) -> tuple[str, Any]:
        tools = importlib.import_module("llama_index.core.tools")

        def weather(city: str) -> str:
            """Return the weather."""
            return city

        tool = tools.FunctionTool.from_defaults(fn=weather)
        sdk = self.sdk
        answer = sdk.chat_with_tools([tool], user_msg="hi")
        call = sdk.get_tool_calls_from_response(answer)[0]
        return call.tool_name, call.tool_kwargs

    def usage(self) -> int:
        return int(self.sdk.complete("hi").raw.usage.total_tokens)

    def embed(self) -> list[float]:
        return list(self.embedder.get_text_embedding("a"))

    async def chat_async(self) -> str:
        return str(await self.sdk.acomplete("hi"))


class PydanticAI(OpenAI):
    """pydantic-ai, whose agents are async below; `run_sync` runs an event loop."""

    package = "pydantic_ai"
    errors: ClassVar[dict[Any, str]] = {
        **dict.fromkeys((400, 403, 424, 429, 500, 503), "ModelHTTPError"),
        "timeout": "ModelAPIError",
        "broken": "ModelAPIError",
        "failed": "ModelAPIError",
    }

    def prepare(self) -> None:
        super().prepare()
        self.pydantic_ai = importlib.import_module("pydantic_ai")
        self.provider = importlib.import_module("pydantic_ai.providers.openai").OpenAIProvider(
            openai_client=self.async_sdk
        )
        self.model_type = importlib.import_module("pydantic_ai.models.openai").OpenAIChatModel

    @property
    def agent(self) -> Any:
        return self.pydantic_ai.Agent(self.model_type(self.model, provider=self.provider))

    def chat(self) -> str:
        return str(self.agent.run_sync("hi").output)

    def stream(self) -> Iterator[str]:
        async def read() -> list[str]:
            async with self.agent.run_stream("hi") as answer:
                async for piece in answer.stream_text(delta=True, debounce_by=None):
                    pieces.append(piece)
                    if self.model == "endless":
                        break
            return pieces

        pieces: list[str] = []
        yield from asyncio.run(read())

    def tool(self) -> tuple[str, Any]:
        seen: list[str] = []
        agent = self.agent

        # the SDK is in an environment of its own
        @agent.tool_plain  # type: ignore[untyped-decorator]
        def weather(city: str) -> str:
            """Return the weather."""
            seen.append(city)
            return "rain"

        agent.run_sync("hi")
        return "weather", {"city": seen[0]}

    def usage(self) -> int:
        usage = self.agent.run_sync("hi").usage
        return int((usage() if callable(usage) else usage).total_tokens)

    def embed(self) -> list[float]:
        embeddings = importlib.import_module("pydantic_ai.embeddings")
        models = importlib.import_module("pydantic_ai.embeddings.openai")
        model = models.OpenAIEmbeddingModel("embeddings", provider=self.provider)
        return list(embeddings.Embedder(model).embed_query_sync("a").embeddings[0])

    async def chat_async(self) -> str:
        return str((await self.agent.run("hi")).output)


class Instructor(OpenAI):
    """instructor: answers as pydantic models, from the arguments of a tool."""

    package = "instructor"
    can_embed = False
    errors: ClassVar[dict[Any, str]] = {**OPENAI_ERRORS, "broken": "RemoteProtocolError"}

    def prepare(self) -> None:
        super().prepare()
        instructor: Any = importlib.import_module("instructor")
        pydantic: Any = importlib.import_module("pydantic")
        self.instructor = instructor.from_openai(self.sdk)
        self.async_instructor = instructor.from_openai(self.async_sdk)
        self.weather_type = pydantic.create_model("weather", city=(str, ...))

    def _arguments(self) -> dict[str, Any]:
        return {"model": self.model, "messages": HELLO, "response_model": self.weather_type}

    def chat(self) -> str:
        answer, completion = self.instructor.chat.completions.create_with_completion(
            **self._arguments()
        )
        assert answer.city == "Oslo"
        self.completion = completion
        return super().chat()

    def tool(self) -> tuple[str, Any]:
        answer = self.instructor.chat.completions.create(**self._arguments())
        return type(answer).__name__, answer.model_dump()

    async def chat_async(self) -> str:
        answer = await self.async_instructor.chat.completions.create(**self._arguments())
        assert answer.city == "Oslo"
        return await super().chat_async()


class Strands(OpenAI):
    """Strands Agents' OpenAI model."""

    package = "strands"
    library = "httpx"
    can_embed = False
    errors: ClassVar[dict[Any, str]] = {
        **OPENAI_ERRORS,
        429: "ModelThrottledException",
        "broken": "RemoteProtocolError",
    }

    def prepare(self) -> None:
        super().prepare()
        self.strands = importlib.import_module("strands")
        self.model_type = importlib.import_module("strands.models.openai").OpenAIModel

    def _model(self) -> Any:
        return self.model_type(client=self.async_sdk, model_id=self.model)

    async def _read(self, **arguments: Any) -> list[Any]:
        events: list[Any] = []
        async for event in self._model().stream(
            [{"role": "user", "content": [{"text": "hi"}]}], **arguments
        ):
            events.append(event)
            if self.model == "endless" and len(events) > 5:
                break
        return events

    @staticmethod
    def _texts(events: list[Any]) -> list[str]:
        deltas = [
            event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event
        ]
        return [delta["text"] for delta in deltas if "text" in delta]

    def chat(self) -> str:
        agent = self.strands.Agent(model=self._model(), callback_handler=None, retry_strategy=None)
        return str(agent("hi")).removesuffix("\n")

    def stream(self) -> Iterator[str]:
        yield from self._texts(asyncio.run(self._read()))

    def tool(self) -> tuple[str, Any]:
        seen: list[str] = []

        # the SDK is in an environment of its own
        @self.strands.tool  # type: ignore[untyped-decorator]
        def weather(city: str) -> str:
            """Return the weather."""
            seen.append(city)
            return "rain"

        self.strands.Agent(model=self._model(), tools=[weather], callback_handler=None)("hi")
        return "weather", {"city": seen[0]}

    def usage(self) -> int:
        *_, last = asyncio.run(self._read())
        return int(last["metadata"]["usage"]["totalTokens"])

    async def chat_async(self) -> str:
        return "".join(self._texts(await self._read()))


ADAPTERS: Final[dict[str, type[Adapter]]] = {
    "openai on httpx2": OpenAI,
    "openai on httpx": OpenAIOnHttpx,
    "anthropic": Anthropic,
    "langchain-openai": LangChain,
    "litellm": LiteLLM,
    "llama-index": LlamaIndex,
    "pydantic-ai": PydanticAI,
    "instructor": Instructor,
    "strands": Strands,
}
