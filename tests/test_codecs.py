"""What holds for every codec: content types, charsets, imports, and what errors say."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, InvokeEndpoint, ResponseError, codecs
from smruntime_core.codecs import (
    as_csv,
    as_json,
    as_jsonl,
    as_text,
    read_csv,
    read_json,
    read_jsonl,
    read_numpy,
    read_pandas,
    read_text,
)

from .helpers import modules_after

READERS: dict[str, Callable[[bytes, str | None], object]] = {
    "json": read_json,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "text": read_text,
    "numpy": read_numpy,
    "pandas": read_pandas,
}
# Which methods a content type contradicts, and what their errors advise.
CONTRADICTIONS = [
    ("application/json", ["jsonl", "csv"], "call .json()"),
    ("application/vnd.model+json; v=2", ["jsonl", "csv"], "call .json()"),
    ("application/x-ndjson", ["json", "csv", "numpy"], "call .jsonl()"),
    ("Text/CSV; header=present", ["json", "jsonl"], "call .csv()"),
    ("text/plain", ["numpy", "pandas"], "call .text()"),
    ("application/x-npy", ["json", "jsonl", "csv", "text", "pandas"], "call .numpy()"),
    ("application/vnd.apache.parquet", ["json", "jsonl", "csv", "text", "numpy"], "call .pandas()"),
    (
        "text/event-stream",
        ["json", "jsonl", "csv", "numpy", "pandas"],
        "call .text(), or .sse() on a stream",
    ),
    (
        "text/html; charset=utf-8",
        ["json", "jsonl", "csv", "numpy", "pandas"],
        "it may come from a proxy",
    ),
    ("application/xml", ["json", "jsonl", "csv", "numpy", "pandas"], "call .text()"),
    ("image/png", list(READERS), "use the bytes in .body"),
    ("application/zip", list(READERS), "use the bytes in .body"),
    (
        "application/x-something",
        ["json", "jsonl", "csv", "numpy", "pandas"],
        "use the bytes in .body",
    ),
]


def test_importing_core_does_not_load_codecs() -> None:
    assert not [
        name
        for name in modules_after("import smruntime_core")
        if name.startswith("smruntime_core.codecs")
    ]


def test_importing_codecs_loads_no_format_and_no_third_party_package() -> None:
    loaded = modules_after("import smruntime_core.codecs")
    assert not loaded & {"json", "csv", "numpy", "pandas", "pyarrow"}
    assert "json" in modules_after("from smruntime_core.codecs import as_json; as_json(1)"), (
        "the probe sees nothing"
    )


@pytest.mark.parametrize(
    ("package", "extra", "call"),
    [
        ("numpy", "numpy", "as_npy([1])"),
        ("numpy", "numpy", "read_numpy(b'', None)"),
        ("pandas", "pandas", "read_pandas(b'', None)"),
        ("pyarrow", "parquet", "as_parquet(None)"),
    ],
)
def test_missing_package_names_the_extra_to_install(
    package: str, extra: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError, match=rf"needs {package}: pip install 'smruntime-core\[{extra}\]'"
    ) as caught:
        eval(call, vars(codecs))  # noqa: S307  # a line of the table above
    assert caught.value.name == package


def test_encoded_body_fits_an_operation() -> None:
    for encoded in (
        as_json({}),
        as_jsonl([1]),
        as_csv([[1]]),
        as_text("a"),
        as_text("a", encoding="utf-16"),
    ):
        operation = InvokeEndpoint(endpoint_name="churn", **encoded)
        assert (operation.body, operation.content_type, operation.accept) == (*encoded.values(),)


def test_content_type_and_accept_are_replaced_by_arguments() -> None:
    for encoded in (
        as_json(1, content_type="a/b", accept="c/d"),
        as_jsonl([1], content_type="a/b", accept="c/d"),
        as_csv([[1]], content_type="a/b", accept="c/d"),
        as_text("1", content_type="a/b", accept="c/d"),
    ):
        assert (encoded["content_type"], encoded["accept"]) == ("a/b", "c/d")


@pytest.mark.parametrize(
    ("content_type", "methods", "advice"), CONTRADICTIONS, ids=[row[0] for row in CONTRADICTIONS]
)
def test_contradicting_content_type_raises_naming_type_method_and_remedy(
    content_type: str, methods: list[str], advice: str
) -> None:
    for method in methods:
        with pytest.raises(ResponseError) as caught:
            READERS[method](b"1", content_type)
        assert str(caught.value).startswith(
            f"{method}() does not read the content type {content_type!r}; "
        )
        assert advice in str(caught.value)


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/octet-stream", "binary/octet-stream", "text/plain", "TEXT/PLAIN ; a=b"],
)
def test_content_type_that_states_no_format_is_accepted(content_type: str | None) -> None:
    assert read_json(b"[1]", content_type) == [1]
    assert read_jsonl(b"[1]", content_type) == [[1]]
    assert read_csv(b"[1]", content_type) == [["[1]"]]
    assert read_text(b"[1]", content_type) == "[1]"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/csv",
        "text/event-stream",
        "text/html",
        "application/xml",
        "application/x",
    ],
)
def test_text_reads_every_content_type_that_is_not_binary(content_type: str) -> None:
    assert read_text("smørrebrød".encode(), content_type) == "smørrebrød"


@pytest.mark.parametrize(
    "charset",
    ["iso-8859-1", "windows-1252", "utf-16", "utf-16-le", "UTF-8", "utf8", "latin1", "gb18030"],
)
@pytest.mark.parametrize("form", ["; charset={}", ';Charset="{}"', " ; v=1 ; CHARSET = {} ; w=2"])
def test_charset_of_the_content_type_is_honoured(charset: str, form: str) -> None:
    parameter = form.format(charset)
    text = '["smörgås"]'
    body = text.encode(charset)
    assert read_text(body, f"text/plain{parameter}") == text
    assert read_json(body, f"application/json{parameter}") == ["smörgås"]
    assert read_jsonl(body, f"application/jsonlines{parameter}") == [["smörgås"]]
    assert read_csv('1,"smörgås"'.encode(charset), f"text/csv{parameter}") == [["1", "smörgås"]]


def test_parameter_that_only_ends_in_charset_is_no_charset() -> None:
    assert read_text("ö".encode(), "text/plain; x-charset=latin-1") == "ö"


# Python has codecs by these names, or breaks when it looks for one.
@pytest.mark.parametrize(
    "charset",
    [
        "unicode_escape",
        "punycode",
        "idna",
        "base64",
        "zip",
        "rot13",
        "undefined",
        "nope",
        "a\0b",
        "..",
        "iso-8859-12",
        "x" * 900,
    ],
)
def test_charset_unknown_to_the_web_raises_response_error(charset: str) -> None:
    for method in ("json", "jsonl", "csv", "text"):
        with pytest.raises(
            ResponseError, match=rf"^{method}\(\) does not know the charset in "
        ) as caught:
            READERS[method](b"1", f"text/plain; charset={charset}")
        assert len(str(caught.value)) < 300
        assert str(caught.value).isprintable()
    with pytest.raises(
        ConstructionError, match=r"^encoding: found .*; must be a charset of the web"
    ):
        as_text("1", encoding=charset)
    with pytest.raises(ConstructionError, match=r"^encoding: "):
        read_text(b"1", None, encoding=charset)


def test_looking_for_unknown_charsets_does_not_fill_pythons_cache() -> None:
    import encodings

    cache: dict[str, object] = vars(encodings)["_cache"]
    before = len(cache)
    for index in range(100):
        with pytest.raises(ResponseError):
            read_text(b"", f"text/plain; charset=utf-8-{index}")
    assert len(cache) <= before


@given(text=st.text(), charset=st.sampled_from(["utf-8", "UTF8", "utf-16", "utf-32", "gb18030"]))
def test_text_survives_a_round_trip(text: str, charset: str) -> None:
    try:
        encoded = as_text(text, encoding=charset)
    except ConstructionError as error:
        assert str(error).startswith("text: it has U+D")  # a lone surrogate has no encoding
        return
    assert read_text(encoded["body"], encoded["content_type"]) == text
    assert read_text(encoded["body"], None, encoding=charset) == text


def test_text_that_its_encoding_lacks_is_refused_without_quoting_it() -> None:
    with pytest.raises(ConstructionError) as caught:
        as_text("price: 5 €", encoding="iso-8859-1")
    rule = "must be text that iso-8859-1 can encode; pass another encoding="
    assert str(caught.value) == f"text: it has U+20AC at index 9; {rule}"


@pytest.mark.parametrize("value", [b"bytes", 1, None])
def test_text_must_be_str(value: object) -> None:
    with pytest.raises(
        ConstructionError,
        match=f"^text: found {type(value).__name__}; must be a str; decode bytes first",
    ):
        as_text(value)  # type: ignore[arg-type]


def test_invalid_utf_8_is_named_with_its_position() -> None:
    for method in ("json", "jsonl", "csv", "text"):
        with pytest.raises(
            ResponseError, match=rf"^{method}\(\): the body is not (?i:utf-8): .* at byte 1"
        ):
            READERS[method](b"1\xff", None)


@given(
    body=st.binary(max_size=200),
    content_type=st.none()
    | st.sampled_from([row[0] for row in CONTRADICTIONS])
    | st.text(max_size=60),
)
def test_any_bytes_and_any_content_type_give_a_value_or_a_response_error(
    body: bytes, content_type: str | None
) -> None:
    for method in ("json", "jsonl", "csv", "text"):
        try:
            READERS[method](body, content_type)
        except ResponseError as error:
            assert str(error).startswith(f"{method}()")
            assert str(error).isprintable()
