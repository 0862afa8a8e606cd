"""The parser of the AWS settings files, `~/.aws/config` and `~/.aws/credentials`.

    # config                              # credentials
    [default]                             [default]
    region = eu-west-1                    aws_access_key_id = AKIDEXAMPLE
    services = here                       aws_secret_access_key = wJalrXUtnFEMI

    [profile work]  ; a comment           [work]
    region = us-east-1                    credential_process = /opt/keys
    sso_session = acme

    [services here]                       # nested: an empty value, then indented lines
    sagemaker_runtime =
        endpoint_url = http://localhost:8080

    [sso-session acme]
    sso_region = us-east-1

The format looks like INI, but INI parsers misread it. It is read line by line, and the first
character decides what a line is:

    [          a section: `default`, `profile x`, `services x` or `sso-session x` in the config
               file, `x` in the credentials file
    # ;        a comment; also after a section's `]`, or after a value and a blank
    a blank    a continuation of the property above: one more line of its value, or, if the value
               is empty, a nested `name = value` (blank lines and indented comments are skipped)
    else       a property, `name = value`, split at its first `=`

Names of properties are case-insensitive. Equal sections are merged, and the credentials file wins
over the config file. If a section of one file sets a property twice, the last one holds, as the
SDKs' shared specification says. botocore and the AWS CLI refuse such a file, and so does
`parse(..., unique=True)`, because it is easy to sign with the wrong one of two keys.
`[profile default]` hides `[default]` in the same file.

Sections with an invalid name or an unknown kind are skipped; `Profiles.ignored` lists them, so that
an error about a missing profile can explain the cause (`why_missing`). Any other line is an error,
because the rest of the file may be misread too. An error names the file and the line but never
quotes the line, and no repr shows a value: both may contain a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from ..errors import ConstructionError
from ..values._record import Record, field
from ..values._redacted import RedactedMapping
from ..values._rules import check_bytes

MAX_SIZE: Final = 1024 * 1024
MAX_LINES: Final = 100_000  # every section and property takes a line, so this bounds them all

SectionKey: TypeAlias = tuple[str, str]  # ("profile" | "services" | "sso-session", name)
Settings: TypeAlias = Mapping[str, str | Mapping[str, str]]

# While a file is parsed: the lines of a value, or nested properties. An empty dict is an empty
# value until a continuation line follows.
_RawValue: TypeAlias = list[str] | dict[str, str]
_Properties: TypeAlias = dict[str, _RawValue]

_BLANKS = " \t"
_UNPREFIXED_DEFAULT = ("", "default")
_SYNTAX = "[section] lines and name = value lines"
_NAME_CHARACTERS = "-A-Za-z0-9/.%@_:+"
_NAME_PATTERN = f"[{_NAME_CHARACTERS}]+"
_QUOTED_NAME = rf"(['\"])([{_NAME_CHARACTERS} ]+)\1"
_CONFIG_TITLE = r"(profile|services|sso-session)[ \t]+((?s:.)+)"
_INLINE_COMMENT = r"[ \t][#;]"
_NOT_UTF8 = "[\ud800-\udfff]"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_ALLOWED_CHARACTERS = "letters, digits and - _ . / % @ : +"


class IgnoredSection(NamedTuple):
    """A section that is skipped: its file and line as text, and its title."""

    location: str
    in_config: bool
    title: str

    def looks_like(self, kind: str, name: str) -> bool:
        """Return whether botocore, or a reader, would take this for the section `name`."""
        return name in (
            self.title,
            _name_in_title(self.title, kind),
            _name_in_title(self.title, "profile"),
        )

    def explain(self, kind: str, name: str) -> str:
        """Say why this is not the section `name` of `kind`."""
        is_prefixed = self.title.startswith((f"{kind} ", f"{kind}\t"))
        if self.in_config and not is_prefixed:
            return f"in the config file that section is [{kind} {name}]"
        if not self.in_config and kind != "profile":
            return "the credentials file holds profiles only; move the section to the config file"
        if not self.in_config and is_prefixed:
            return f"in the credentials file that section is [{name}], without {kind!r}"
        invalid_characters = sorted(set(re.sub(f"[{_NAME_CHARACTERS} ]", "", name)))
        if invalid_characters:
            listed = " ".join(map(repr, invalid_characters))
            return f"a name with {listed} is ignored; rename it, using {_ALLOWED_CHARACTERS}"
        quoted_title = f"[{kind} '{name}'] in the config file"
        return f"a name with blanks is ignored; rename it, or make it {quoted_title}"


def _name_in_title(title: str, kind: str) -> str:
    """Return the name in a title such as `profile 'x y'`, without `kind` and without quotes."""
    name = title.removeprefix(kind).strip(_BLANKS)
    if not re.search(r"['\"\\]", name):
        return name
    import shlex  # 3 ms that only an error pays for

    try:
        words = shlex.split(name)
    except ValueError:  # an unclosed quote, for instance: Someone's
        return name
    return words[0] if len(words) == 1 else name


class Profiles(Record):
    """The sections of both files: mappings of settings, in which nested settings are mappings."""

    sections: Mapping[SectionKey, Settings]
    ignored: tuple[IgnoredSection, ...] = field(default=(), compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all profiles."""
        return tuple(name for kind, name in self.sections if kind == "profile")

    def profile(self, name: str) -> Settings | None:
        """Return the settings of a profile, None if there is no such profile."""
        return self.sections.get(("profile", name))

    def services(self, name: str) -> Settings | None:
        """Return the section that `services = name` refers to: settings nested by service."""
        return self.sections.get(("services", name))

    def sso_session(self, name: str) -> Settings | None:
        """Return the section that `sso_session = name` refers to."""
        return self.sections.get(("sso-session", name))

    def why_missing(self, name: str, kind: str = "profile") -> str:
        """Return why a similar section is not read as `name`, empty if no section is similar.

        The text begins with a blank and is in parentheses, to be appended to a sentence.
        """
        for section in self.ignored:
            if section.looks_like(kind, name):
                return f" ({section.location}: {section.explain(kind, name)})"
        return ""

    def __repr__(self) -> str:
        return f"Profiles({', '.join(f'{kind} {name}' for kind, name in self.sections)})"


def parse(
    config: bytes | str = b"",
    credentials: bytes | str = b"",
    files: tuple[str, str] = ("config", "credentials"),
    *,
    unique: bool = False,
) -> Profiles:
    """Parse the two files; pass empty text for a file that does not exist. `files` names them.

    Raises `ConstructionError`, its member the file, for a file that is over 1 MiB or 100,000 lines,
    is not UTF-8, or breaks the format; if `unique`, also for a section that sets a property twice.
    """
    config_parser = _FileParser(files[0], _config_key, unique)
    credentials_parser = _FileParser(files[1], _credentials_key, unique)
    sections = config_parser.parse(config)
    unprefixed_default = sections.pop(_UNPREFIXED_DEFAULT, None)
    if unprefixed_default is not None:
        sections.setdefault(("profile", "default"), unprefixed_default)
    for key, properties in credentials_parser.parse(credentials).items():
        sections[key] = sections.get(key, {}) | properties
    ignored = tuple(
        IgnoredSection(f"{parser.file} line {number}", parser is config_parser, title)
        for parser in (config_parser, credentials_parser)
        for number, title in parser.ignored
    )
    return Profiles(
        {key: _finished_section(properties) for key, properties in sections.items()}, ignored
    )


def locations(
    environ: Mapping[str, str], *, home: str = "~", windows: bool = False
) -> tuple[str, str]:
    """Return the paths of the config and the credentials file. Empty variables count as unset.

    `home` is used if the environment names no home directory; by default the paths keep their `~`.
    """
    separator = "\\" if windows else "/"
    directory = (_home_directory(environ, windows) or home).rstrip("/" + separator)

    def resolve_path(variable: str, file_name: str) -> str:
        path = environ.get(variable) or f"~/.aws/{file_name}".replace("/", separator)
        return directory + path[1:] if path[:2] in ("~", "~/", "~" + separator) else path

    return (
        resolve_path("AWS_CONFIG_FILE", "config"),
        resolve_path("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    )


def _home_directory(environ: Mapping[str, str], windows: bool) -> str:
    """Return the home directory that the environment names, empty if it names none."""
    directory = environ.get("HOME", "")
    if directory or not windows:
        return directory
    return environ.get("USERPROFILE") or environ.get("HOMEDRIVE", "") + environ.get("HOMEPATH", "")


def _config_key(title: str) -> SectionKey | None:
    """Return the key of a section of the config file; None for a section to skip."""
    if title == "default":
        return _UNPREFIXED_DEFAULT
    match = re.fullmatch(_CONFIG_TITLE, title)
    name = match and _valid_name(match[2])
    return (match[1], name) if match and name else None


def _credentials_key(title: str) -> SectionKey | None:
    """Return the key of a section of the credentials file; None for a section to skip."""
    name = _valid_name(title)
    return ("profile", name) if name else None


def _valid_name(text: str) -> str | None:
    """Return the name in `text`, None if it is invalid; quoted names may contain blanks."""
    if match := re.fullmatch(_QUOTED_NAME, text):
        return match[2]
    return text if re.fullmatch(_NAME_PATTERN, text) else None


class _FileParser:
    """The parser of one file: the sections so far, and the property that a line may continue."""

    def __init__(
        self, file: str, section_key: Callable[[str], SectionKey | None], unique: bool
    ) -> None:
        self.file = file
        self.section_key = section_key
        self.unique = unique
        self.ignored: list[tuple[int, str]] = []
        self.property_lines: dict[SectionKey, dict[str, int]] = {}  # line numbers by name
        self.current_lines: dict[str, int] = {}
        self.line_number = 0
        self.sections: dict[SectionKey, _Properties] = {}
        self.current_section: _Properties | None = None
        self.current_value: _RawValue | None = None

    def parse(self, data: bytes | str) -> dict[SectionKey, _Properties]:
        """Return the sections in `data`; raise `ConstructionError`."""
        lines = _split_lines(self.file, data)
        for self.line_number, line in enumerate(lines, 1):
            content = line.strip(_BLANKS)
            if not content or content[0] in "#;":
                continue
            if line[0] in _BLANKS:
                self.continue_property(content)
            elif line[0] == "[":
                self.open_section(line)
            else:
                self.define_property(line)
        return self.sections

    def open_section(self, line: str) -> None:
        """Begin a section; a section with an invalid name is parsed but discarded."""
        title, bracket, remainder = line[1:].partition("]")
        if not bracket or remainder.strip(_BLANKS)[:1] not in ("", "#", ";"):
            raise self.syntax_error("begins a section but has no ] at its end")
        key = self.section_key(title.strip(_BLANKS))
        if key is None:
            self.ignored.append((self.line_number, title.strip(_BLANKS)))
            self.current_section, self.current_lines = {}, {}
        else:
            self.current_section = self.sections.setdefault(key, {})
            self.current_lines = self.property_lines.setdefault(key, {})
        self.current_value = None

    def define_property(self, line: str) -> None:
        """Read `name = value`; nested properties may follow an empty value."""
        if self.current_section is None:
            raise self.syntax_error("comes before the first [section]")
        name, value = self.split_property(line)
        self.current_value = [value] if value else {}
        if self.unique and name in self.current_lines:
            raise ConstructionError(
                self.file,
                "one value for each name in a section",
                message=f"{self.file}: line {self.line_number} sets the same name as line "
                f"{self.current_lines[name]}; remove one of them (botocore and the AWS CLI refuse "
                "such a file too)",
            )
        self.current_lines[name] = self.line_number
        if re.fullmatch(_NAME_PATTERN, name):
            self.current_section[name] = self.current_value

    def continue_property(self, content: str) -> None:
        """Read an indented line: one more line of a value, or a nested property."""
        if self.current_section is None:
            raise self.syntax_error("comes before the first [section]")
        if self.current_value is None:
            raise self.syntax_error("is indented, but there is no property above it")
        if isinstance(self.current_value, list):
            self.current_value.append(content)
        else:
            name, value = self.split_property(content)
            self.current_value[name] = value

    def split_property(self, line: str) -> tuple[str, str]:
        """Return name and value, without blanks around them and without a comment."""
        comment = re.search(_INLINE_COMMENT, line)
        name, equals, value = line[: comment.start() if comment else None].partition("=")
        if not equals:
            raise self.syntax_error("has no '='")
        if not (name := name.strip(_BLANKS)):
            raise self.syntax_error("has no name before its '='")
        return name.lower(), value.strip(_BLANKS)

    def syntax_error(self, problem: str) -> ConstructionError:
        """Return the error for the current line, without quoting it."""
        message = f"{self.file}: line {self.line_number} {problem}; the file must hold {_SYNTAX}"
        return ConstructionError(self.file, _SYNTAX, message=message)


def _split_lines(file: str, data: bytes | str) -> list[str]:
    """Return the lines of a file; raise `ConstructionError` if it is too large or not UTF-8."""
    content = data if isinstance(data, str) else check_bytes(file, data)
    if isinstance(content, bytes) and content.startswith(_UTF16_MARKS):
        raise ConstructionError(
            file,
            "UTF-8",
            message=f"{file}: it is UTF-16, as PowerShell's > writes it; save it as UTF-8",
        )
    if len(content) > MAX_SIZE:
        raise ConstructionError(file, "at most 1 MiB", f"its size is {len(content)}")
    text = content if isinstance(content, str) else str(content, "utf-8", "surrogateescape")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if match := re.search(_NOT_UTF8, text):
        line_number = text.count("\n", 0, match.start()) + 1
        message = f"{file}: line {line_number} is not UTF-8; save the file as UTF-8"
        raise ConstructionError(file, "UTF-8", message=message)
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise ConstructionError(file, f"at most {MAX_LINES} lines", f"it has {len(lines)} lines")
    return lines


def _finished_section(properties: _Properties) -> Settings:
    """Join the lines of values, and hide all values from reprs."""
    return RedactedMapping({name: _finished_value(value) for name, value in properties.items()})


def _finished_value(value: _RawValue) -> str | RedactedMapping[str]:
    if isinstance(value, list):
        return "\n".join(value)
    return RedactedMapping(value) if value else ""
