"""The parser of AWS settings files: shared vectors, botocore's parser, and hostile files."""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError
from smruntime_core.config._profiles import (
    MAX_LINES,
    MAX_SIZE,
    Profiles,
    Settings,
    locations,
    parse,
)
from smruntime_core.config._settings import SettingSources

from .vectors import cases

SECRET = "wJalrXUtnFEMI"

# The error texts of the vectors, and ours.
FAULTS = {
    "Profile definition must end with ']'": "has no ] at its end",
    "Expected a profile definition": "comes before the first",
    "Expected a property definition": "is indented, but there is no property above it",
    "Expected a property definition, found continuation": "is indented, but there is no property",
    "Expected an '=' sign defining a property": "has no '='",
    "Expected an '=' sign defining a sub-property": "has no '='",
    "Property did not have a name": "has no name before its '='",
    "Sub-property did not have a name": "has no name before its '='",
}


def plain(settings: Settings | None) -> Any:
    """Return settings as the vectors write them: nested settings as lines."""
    assert settings is not None
    return {name: as_lines(value) for name, value in settings.items()}


def as_lines(value: str | Mapping[str, str]) -> str:
    return (
        value
        if isinstance(value, str)
        else "".join(f"\n{f'{name} = {inner}'.strip()}" for name, inner in value.items())
    )


@pytest.mark.parametrize("encode", [str, str.encode], ids=["text", "bytes"])
@pytest.mark.parametrize("case", cases("profile-parser.json", itemgetter("tests")))
def test_files_are_parsed_as_in_the_shared_vectors(case: Any, encode: Any) -> None:
    files = [encode(case["input"].get(name, "")) for name in ("configFile", "credentialsFile")]
    expected = case["output"]
    if "errorContaining" in expected:
        with pytest.raises(ConstructionError, match=FAULTS[expected["errorContaining"]]):
            parse(*files)
        return
    found = parse(*files)
    sessions = [name for kind, name in found.sections if kind == "sso-session"]
    assert {name: plain(found.profile(name)) for name in found.names} == expected["config"][
        "profiles"
    ]
    assert {name: plain(found.sso_session(name)) for name in sessions} == expected["config"].get(
        "sso_sessions", {}
    )


@pytest.mark.parametrize("case", cases("profile-locations.json", itemgetter("tests")))
def test_files_are_located_as_in_the_shared_vectors(case: Any) -> None:
    environ = case["environment"]
    assert locations(environ, windows=case["platform"] == "windows") == (
        case["configLocation"],
        case["credentialsLocation"],
    )
    profile = case.get("profile", "default")
    assert SettingSources(environ, parse(f"[profile {profile}]"), None).profile_name == profile


def test_files_are_located_in_the_home_directory() -> None:
    assert locations({}) == ("~/.aws/config", "~/.aws/credentials")
    assert locations({}, home="/root/") == ("/root/.aws/config", "/root/.aws/credentials")
    assert locations({"HOME": "/"})[0] == "/.aws/config"
    assert locations({"HOME": ""}, home="C:\\u", windows=True)[0] == "C:\\u\\.aws\\config"
    given = {"HOME": "/h", "AWS_CONFIG_FILE": "~/mine", "AWS_SHARED_CREDENTIALS_FILE": ""}
    assert locations(given) == ("/h/mine", "/h/.aws/credentials")
    assert locations({"HOME": "/h", "AWS_CONFIG_FILE": "~other/x"})[0] == "~other/x"


def test_every_kind_of_section_is_parsed() -> None:
    found = parse(
        "[default]\nservices = here\n[services here]\nS3 =\n"
        "  Endpoint_URL = http://a # not this\n  # nor this\n\n  b=1\n"
        "[sso-session s]\nsso_region = r\n[plugins]\nx = y\n[services in valid]\nx = y",
        "[sso-session s]\nx = y\n[services here]\nx = y",
    )
    assert found.names == ("default",)
    assert found.services("here") == {"s3": {"endpoint_url": "http://a", "b": "1"}}
    assert found.sso_session("s") == {"sso_region": "r"}
    assert (
        found.profile("s") is None
        and found.services("default") is None
        and found.sso_session("here") is None
    )


@pytest.mark.parametrize("title", ['profile "my own"', "profile 'my own'", "\tprofile  'my own' "])
def test_quoted_name_may_contain_blanks(title: str) -> None:
    assert parse(f"[{title}]\na = b").profile("my own") == {"a": "b"}


@pytest.mark.parametrize(
    "title",
    [
        "profile \"my own'",
        'profile "my',
        'profile ""',
        "profile a#b",
        "profile 'a\u00a0b'",
        "profile é",
        "",
    ],
)
def test_section_with_an_invalid_name_is_skipped(title: str) -> None:
    assert parse(f"[{title}]\na = b\n c").names == ()


def test_byte_order_mark_and_other_line_endings_are_accepted() -> None:
    assert parse(b"\xef\xbb\xbf[default]\r\na = b\r\n  \r\n c\r\n").profile("default") == {
        "a": "b\nc"
    }
    assert parse("\ufeff[default]\na = b\u2028c\x0bd").profile("default") == {"a": "b\u2028c\x0bd"}


def test_empty_default_section_is_a_profile() -> None:
    assert parse("[default]").profile("default") == {}
    assert parse("[default]\na = b\n[profile default]").profile("default") == {}
    assert parse("", "[default]").names == ("default",)


def test_nested_settings_are_replaced_as_a_whole_by_the_credentials_file() -> None:
    config = "[default]\ns3 =\n a = 1\n b = 2\n[default]\ns3 =\n c = 3\nempty =\n"
    assert parse(config).profile("default") == {"s3": {"c": "3"}, "empty": ""}
    assert parse(config, "[default]\ns3 = text").profile("default") == {"s3": "text", "empty": ""}


def test_indented_comment_is_skipped() -> None:
    assert parse("[default]\na = b\n  # c\n  ; d\n  e # f").profile("default") == {"a": "b\ne # f"}


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("[default]\nkey = a\n{}", "line 3 has no '='"),
        ("{} = a", "line 1 comes before the first"),
        ("# x\n[{}", "line 2 begins a section but has no ] at its end"),
        ("[default] {}", "line 1 begins a section but has no ] at its end"),
        ("[default]\r\n {}", "line 2 is indented, but there is no property above it"),
        ("[default]\na =\n {}", "line 3 has no '='"),
        ("[default]\n\n= {}", "line 3 has no name before its '='"),
    ],
)
def test_error_names_file_and_line_and_quotes_nothing(file: str, fault: str) -> None:
    for member in ("config", "credentials"):
        given: Any = {member: file.format(SECRET)}
        with pytest.raises(ConstructionError) as raised:
            parse(**given)
        assert raised.value.member == member and str(raised.value).startswith(f"{member}: {fault}")
        assert SECRET not in repr(raised.value) and raised.value.__context__ is None


@pytest.mark.parametrize(
    "data",
    [
        b"[default]\na = \xff" + SECRET.encode(),
        "[default]\na = \ud800" + SECRET,
        b"[default]\na = \xed\xa0\x80",
    ],
)
def test_bytes_that_are_not_utf8_are_refused_with_their_line(data: bytes | str) -> None:
    with pytest.raises(
        ConstructionError, match=r"^credentials: line 2 is not UTF-8; save the file as UTF-8$"
    ) as raised:
        parse(b"", data)
    assert raised.value.__context__ is None


@pytest.mark.parametrize("data", [None, 1, ["[default]"]])
def test_file_of_another_type_is_refused(data: Any) -> None:
    with pytest.raises(ConstructionError, match="config"):
        parse(data)


def test_size_and_number_of_lines_are_limited() -> None:
    head = b"[default]\na = "
    fits = head + b"x" * (MAX_SIZE - len(head))
    assert parse(fits).names == parse(fits.decode()).names == ("default",)
    for data in (fits + b"x", fits.decode() + "x", b"x" * 50_000_000):
        with pytest.raises(ConstructionError, match="must be at most 1 MiB"):
            parse(data)
    assert parse("\n" * (MAX_LINES - 1)).names == ()
    with pytest.raises(ConstructionError, match="must be at most 100000 lines"):
        parse("\n" * MAX_LINES)


WORST = {
    "sections": b"[a]\n" * 250_000,
    "many sections": b"".join(b"[profile %d]\n" % n for n in range(60_000)),
    "properties": b"[default]\n" + b"".join(b"%d=\n" % n for n in range(99_000)),
    "continuations": b"[default]\na = b\n" + b" abcdefg\n" * 99_000,
    "nested": b"[default]\na =\n" + b"".join(b" %d=\n" % n for n in range(99_000)),
    "one property": b"[default]\n" + b"a=b\n" * 99_000,
    "blanks": b"[default]\na =" + b" " * 1_000_000 + b"x",
    "tabs and comments": b"[default]\na = x" + b"\t\t;" * 300_000,
    "brackets": b"[" * 1_000_000,
    "quotes": b"[profile '" + b"a " * 500_000 + b"]",
    "returns": b"[default]\na = b" + b"\r" * 1_000_000,
    "equals": b"[default]\n" + b"=" * 1_000_000,
}


@pytest.mark.parametrize("data", WORST.values(), ids=WORST)
def test_hostile_mebibyte_is_parsed_or_refused_in_linear_time(data: bytes) -> None:
    assert len(data) <= MAX_SIZE
    start = time.process_time()
    outcome(data)
    # It takes 0.25 s at most on an idle machine; quadratic parsing would take minutes.
    assert time.process_time() - start < 10.0


def outcome(config: bytes, credentials: bytes = b"") -> Profiles | str:
    try:
        return parse(config, credentials)
    except ConstructionError as error:
        return str(error)


PIECES = [
    b"[",
    b"]",
    b"default",
    b"profile ",
    b"services ",
    b"a",
    b"=",
    b" ",
    b"\t",
    b"\n",
    b"\r\n",
    b"#",
    b";",
    b'"',
    b"'",
    b"\xff",
    b"\xef\xbb\xbf",
]
hostile = st.binary(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)


@given(hostile, hostile)
def test_any_bytes_are_parsed_or_refused(config: bytes, credentials: bytes) -> None:
    found = outcome(config, credentials)
    if isinstance(found, Profiles):
        for name in found.names:
            assert all(key == key.lower() for key in found.profile(name) or ())
        assert pickle.loads(pickle.dumps(found)) == found


@given(hostile)
def test_text_and_its_bytes_are_parsed_alike(data: bytes) -> None:
    text = data.decode(errors="replace")
    try:
        expected: object = parse(text)
    except ConstructionError as error:
        expected = str(error)
    assert outcome(text.encode()) == expected


@given(hostile.filter(lambda data: b"\r" not in data))
def test_line_endings_do_not_matter(data: bytes) -> None:
    for ending in (b"\r\n", b"\r"):
        assert outcome(data.replace(b"\n", ending)) == outcome(data)


def test_no_repr_shows_a_value() -> None:
    found = parse(f"[default]\ns3 =\n  key = {SECRET}", f"[default]\naws_session_token = {SECRET}")
    settings = found.profile("default")
    assert settings is not None
    assert repr(found) == "Profiles(profile default)"
    assert (
        repr(settings) == "RedactedMapping(s3, aws_session_token)"
        and repr(settings["s3"]) == "RedactedMapping(key)"
    )
    assert SECRET not in f"{found} {found.sections} {settings} {settings['s3']}"


def test_settings_cannot_be_changed() -> None:
    settings: Any = parse("[default]\na = b").profile("default")
    with pytest.raises(TypeError):
        settings["a"] = "c"


words = st.text("abcdefgh_0123456789", min_size=1, max_size=8)
values = (
    st.text(
        [chr(n) for n in range(0x21, 0x7F) if chr(n) not in "#;"] + [" ", "é"],
        min_size=1,
        max_size=20,
    )
    .map(str.strip)
    .filter(bool)
)
entries = st.dictionaries(
    words,
    values
    | st.lists(values, min_size=2, max_size=3)
    | st.dictionaries(words, values, min_size=1, max_size=3),
)
files = st.dictionaries(st.sampled_from(["default"]) | words, entries, max_size=4)


def written(name: str, value: Any) -> str:
    """Write a property: text on one line, a list on several lines, a mapping as nested lines."""
    if isinstance(value, dict):
        value = [
            "",
            *(f"{inner} = {text}" for inner, text in cast("dict[str, str]", value).items()),
        ]
    return f"{name} = " + (value if isinstance(value, str) else "\n    ".join(value))


@given(files)
def test_botocore_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, profiles: dict[str, dict[str, Any]]
) -> None:
    loader = pytest.importorskip("botocore.configloader")
    lines: list[str] = []
    for profile, properties in profiles.items():
        lines += [
            "[default]" if profile == "default" else f"[profile {profile}]",
            *(written(*item) for item in properties.items()),
        ]
    text = "\n".join(lines)
    path = tmp_path_factory.getbasetemp() / "config"
    path.write_text(text, encoding="utf-8")
    found = parse(text)
    assert {name: found.profile(name) for name in found.names} == loader.load_config(str(path))[
        "profiles"
    ]
    assert set(found.names) == set(profiles)


REPEATED = {
    "a key": ("[default]\naws_access_key_id = A\naws_access_key_id = B\n", 3, 2),
    "the same value": ("[default]\nregion = r\n\n# x\nregion = r\n", 5, 2),
    "in capitals": ("[default]\nregion = a\nREGION = b\n", 3, 2),
    "in an equal section": ("[x]\na = 1\n[y]\na = 1\n[x]\nb = 1\na = 2\n", 7, 2),
    "a nested value": ("[default]\ns3 =\n  a = 1\ns3 =\n  b = 2\n", 4, 2),
    "in an ignored section": ("[default]\n[r&d]\na = 1\na = 2\n", 4, 3),
}


@pytest.mark.parametrize("file", ["config", "credentials"])
@pytest.mark.parametrize(("text", "line", "first"), REPEATED.values(), ids=REPEATED)
def test_property_set_twice_in_a_section_is_refused_with_file_and_line(
    text: str, line: int, first: int, file: str
) -> None:
    if file == "config":
        text = text.replace("[x]", "[profile x]").replace("[y]", "[profile y]")
    config, credentials = (text, "") if file == "config" else ("", text)
    with pytest.raises(ConstructionError) as caught:
        parse(config, credentials, unique=True)
    said = f"{file}: line {line} sets the same name as line {first}; remove one of them"
    assert str(caught.value).startswith(said)


def test_properties_of_other_sections_files_and_nested_settings_may_be_equal() -> None:
    config = "[default]\nregion = a\ns3 =\n  a = 1\n[profile x]\nregion = b\n  a = 1\n"
    found = parse(config, "[default]\nregion = c\n[x]\nregion = d\n", unique=True)
    assert found.profile("default") == {"region": "c", "s3": {"a": "1"}}
    assert found.profile("x") == {"region": "d"}


@pytest.mark.parametrize("text", [case[0] for case in REPEATED.values()], ids=REPEATED)
def test_botocore_refuses_the_same_files(text: str, tmp_path: Path) -> None:
    loader = pytest.importorskip("botocore.configloader")
    exceptions = pytest.importorskip("botocore.exceptions")
    path = tmp_path / "credentials"
    path.write_text(text)
    with pytest.raises(exceptions.ConfigParseError):
        loader.raw_config_parse(str(path))


IGNORED = [
    ("r&d", "[profile r&d]\n", "", "config line 1: a name with '&' is ignored; rename it"),
    ("büro", "", "\n[büro]\n", "credentials line 2: a name with 'ü' is ignored"),
    ("a (b)", "", "[a (b)]\n", "a name with '(' ')' is ignored"),
    ("Ann's Mac", '[profile "Ann\'s Mac"]\n', "", 'config line 1: a name with "\'" is ignored'),
    ("Ann's Mac", "[profile 'Ann'\"'\"'s Mac']\n", "", 'config line 1: a name with "\'" is'),
    ("Ann's", "[profile Ann's]\n", "", 'config line 1: a name with "\'" is ignored'),
    ("my work", "", "[my work]\n", "credentials line 1: a name with blanks is ignored"),
    ("my work", "[profile my work]\n", "", "make it [profile 'my work'] in the config file"),
    ("work", "[work]\n", "", "config line 1: in the config file that section is [profile work]"),
    ("x", "", "[profile x]\n", "in the credentials file that section is [x], without 'profile'"),
]


@pytest.mark.parametrize(("name", "config", "credentials", "why"), IGNORED)
def test_missing_profile_is_explained_by_a_similar_ignored_section(
    name: str, config: str, credentials: str, why: str
) -> None:
    with pytest.raises(ConstructionError) as caught:
        SettingSources({"AWS_PROFILE": name}, parse(config, credentials), None)
    assert f"{name!r} (from AWS_PROFILE) is not in the config or credentials file (" in str(
        caught.value
    )
    assert why in str(caught.value)
    assert SECRET not in str(caught.value)


def test_missing_profile_without_a_similar_section_is_not_explained() -> None:
    found = parse("[profile r&d]\n[plugins]\n", "[x y]\n")
    assert found.why_missing("r") == found.why_missing("y") == found.why_missing("") == ""


def test_missing_sso_session_is_explained_by_a_similar_ignored_section() -> None:
    why = parse("[sso-session a&b]\n[acme]\n", "[sso-session x]\n").why_missing
    assert "config line 1: a name with '&' is ignored" in why("a&b", "sso-session")
    assert "that section is [sso-session acme]" in why("acme", "sso-session")
    assert "the credentials file holds profiles only" in why("x", "sso-session")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf16_file_is_named_as_such(encoding: str) -> None:
    bom = b"\xfe\xff" if encoding == "utf-16-be" else b""
    with pytest.raises(ConstructionError, match=r"^credentials: it is UTF-16, as PowerShell's > "):
        parse(b"", bom + f"[default]\na = {SECRET}".encode(encoding))
