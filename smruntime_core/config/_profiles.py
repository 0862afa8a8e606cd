"""The two files that people keep their AWS settings in, `~/.aws/config` and `~/.aws/credentials`: text in, settings out.

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

It looks like INI, but readers of INI misread it. A file is read line by line, and the first character says what a line is:

    [          opens a section: `default`, `profile x`, `services x` or `sso-session x` in config, `x` in credentials
    # ;        a comment, as is the rest of a line after a `]` and one of these, or after a value, a blank and one of these
    a blank    goes on with the property above: one more line of its value, taken as it stands, or one `name = value`
               inside it if that value was empty. (A blank line is nothing, and an indented comment is a comment.)
    else       a property, `name = value`, split at its first `=`

Names of properties do not tell capitals from small letters. Equal sections are one, and what
credentials say goes before what config says. Of two equal properties in a section of one file the
last holds, as the SDKs' shared specification says; botocore and the AWS CLI refuse such a file, and
so does `parse(..., unique=True)`, since it is easy to sign with the wrong one of two keys.
`[profile default]` hides `[default]` in the same file. Sections and properties whose names have a
fault, or are of a kind unknown, are passed over, but `Profiles.ignored` remembers such sections, so
that a refusal can name the cause (`why_missing`). A line that is none of the above is an error,
since half of a file may be the wrong half. An error names the file and the line and never quotes it, and no repr shows
a value: either may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from ..errors import ConstructionError
from ..values._record import Record, field
from ..values._redacted import RedactedMapping
from ..values._rules import check_bytes

MAX_SIZE = 1024 * 1024
MAX_LINES = 100_000  # each section and each property takes a line: this bounds them all

Key: TypeAlias = tuple[str, str]  # ("profile" | "services" | "sso-session", name)
Settings: TypeAlias = Mapping[str, str | Mapping[str, str]]

# While a file is read: the lines of a value, or what is nested in it. An empty dict is an empty value, until a line follows.
_Value: TypeAlias = list[str] | dict[str, str]
_Properties: TypeAlias = dict[str, _Value]

_BLANKS = " \t"
_UNPREFIXED = ("", "default")
_SYNTAX = "[sections] of 'name = value' lines"
_SIGN = "-A-Za-z0-9/.%@_:+"
_NAME = f"[{_SIGN}]+"
_QUOTED = rf"(['\"])([{_SIGN} ]+)\1"
_SECTION = r"(profile|services|sso-session)[ \t]+((?s:.)+)"
_INLINE_COMMENT = r"[ \t][#;]"
_NOT_UTF8 = "[\ud800-\udfff]"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UNIQUE = "one value for each name in a section (botocore and the AWS CLI refuse this file too)"
_ALLOWED = "letters, digits and - _ . / % @ : +"


class Ignored(NamedTuple):
    """A section that is not read: `where` it begins, in which file, and its `title`."""

    where: str
    in_config: bool
    title: str

    def looks_like(self, kind: str, name: str) -> bool:
        """Return whether botocore, or a reader in a hurry, takes this for the section `name`."""
        return name in (self.title, _last_word(self.title, kind), _last_word(self.title, "profile"))

    def fault(self, kind: str, name: str) -> str:
        """Say why this is not the section `name` of `kind`."""
        prefixed = self.title.startswith((f"{kind} ", f"{kind}\t"))
        if self.in_config and not prefixed:
            return f"in the config file that section is [{kind} {name}]"
        if not self.in_config and kind != "profile":
            return "the credentials file holds profiles only; move the section to the config file"
        if not self.in_config and prefixed:
            return f"in the credentials file that section is [{name}], without {kind!r}"
        signs = sorted(set(re.sub(f"[{_SIGN} ]", "", name)))
        if signs:
            shown = " ".join(map(repr, signs))
            return f"a name with {shown} is ignored; rename it, using {_ALLOWED}"
        quoted = f"[{kind} '{name}'] in the config file"
        return f"a name with blanks is ignored; rename it, or make it {quoted}"


def _last_word(title: str, kind: str) -> str:
    """Return the name in a title such as `profile 'x y'`, without `kind` and without quotes."""
    rest = title.removeprefix(kind).strip(_BLANKS)
    if not re.search(r"['\"\\]", rest):
        return rest
    import shlex  # 3 ms that only a refusal costs

    try:
        words = shlex.split(rest)
    except ValueError:  # a quote that is not closed, as in: Someone's
        return rest
    return words[0] if len(words) == 1 else rest


class Profiles(Record):
    """What both files say together. A section is a mapping of settings, nested ones a mapping in it; None if there is none."""

    sections: Mapping[Key, Settings]
    ignored: tuple[Ignored, ...] = field(default=(), compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Every profile's name."""
        return tuple(name for kind, name in self.sections if kind == "profile")

    def profile(self, name: str) -> Settings | None:
        """The settings of a profile, from both files."""
        return self.sections.get(("profile", name))

    def services(self, name: str) -> Settings | None:
        """What a profile's `services = name` stands for: the settings of one service nested in its name."""
        return self.sections.get(("services", name))

    def sso_session(self, name: str) -> Settings | None:
        """What a profile's `sso_session = name` stands for."""
        return self.sections.get(("sso-session", name))

    def why_missing(self, name: str, kind: str = "profile") -> str:
        """Return why a section of the files is not read as `name`, empty if none looks alike.

        Begins with a blank, to follow "is not there".
        """
        for section in self.ignored:
            if section.looks_like(kind, name):
                return f" ({section.where}: {section.fault(kind, name)})"
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
    """Return what the two files say; a file that does not exist is empty. `files` names them.

    Raises `ConstructionError`, its member the file, for one that is over 1 MiB or 100,000 lines, is
    not UTF-8, or has a line that is no part of the format; if `unique`, also for one that sets a
    property of a section twice.
    """
    config_reader = _Reader(files[0], _config_key, unique)
    credentials_reader = _Reader(files[1], _credentials_key, unique)
    sections = config_reader.read(config)
    unprefixed = sections.pop(_UNPREFIXED, None)
    if unprefixed is not None:
        sections.setdefault(("profile", "default"), unprefixed)
    for key, properties in credentials_reader.read(credentials).items():
        sections[key] = sections.get(key, {}) | properties
    ignored = tuple(
        Ignored(f"{reader.file} line {line}", reader is config_reader, title)
        for reader in (config_reader, credentials_reader)
        for line, title in reader.ignored
    )
    finished = {key: _finished(properties) for key, properties in sections.items()}
    return Profiles(finished, ignored)


def locations(
    environ: Mapping[str, str], *, home: str = "~", windows: bool = False
) -> tuple[str, str]:
    """Where the config and the credentials file are. An empty variable counts as none.

    `home` is what the system says, for an environment that tells of no home directory; left alone, the paths keep their `~`.
    """
    slash = "\\" if windows else "/"
    home = (_home(environ, windows) or home).rstrip("/" + slash)

    def path(variable: str, name: str) -> str:
        given = environ.get(variable) or f"~/.aws/{name}".replace("/", slash)
        return home + given[1:] if given[:2] in ("~", "~/", "~" + slash) else given

    return path("AWS_CONFIG_FILE", "config"), path("AWS_SHARED_CREDENTIALS_FILE", "credentials")


def _home(environ: Mapping[str, str], windows: bool) -> str:
    """The home directory as the environment has it, else empty."""
    home = environ.get("HOME", "")
    if home or not windows:
        return home
    return environ.get("USERPROFILE") or environ.get("HOMEDRIVE", "") + environ.get("HOMEPATH", "")


def _config_key(title: str) -> Key | None:
    """What a section of the config file is; None for one to pass over."""
    if title == "default":
        return _UNPREFIXED
    found = re.fullmatch(_SECTION, title)
    name = found and _unquoted(found[2])
    return (found[1], name) if found and name else None


def _credentials_key(title: str) -> Key | None:
    """The same for the credentials file, which has profiles only."""
    name = _unquoted(title)
    return ("profile", name) if name else None


def _unquoted(text: str) -> str | None:
    """The name that `text` is; in quotes it may have blanks, as the AWS CLI writes them."""
    if found := re.fullmatch(_QUOTED, text):
        return found[2]
    return text if re.fullmatch(_NAME, text) else None


class _Reader:
    """One file, line by line: the sections so far, and what the next line would go on with."""

    def __init__(self, file: str, key: Callable[[str], Key | None], unique: bool) -> None:
        self.file = file
        self.key = key
        self.unique = unique
        self.ignored: list[tuple[int, str]] = []
        self.lines: dict[Key, dict[str, int]] = {}  # where each property of a section is set
        self.section_lines: dict[str, int] = {}
        self.number = 0
        self.sections: dict[Key, _Properties] = {}
        self.section: _Properties | None = None
        self.value: _Value | None = None

    def read(self, data: bytes | str) -> dict[Key, _Properties]:
        lines = _lines(self.file, data)
        for self.number, line in enumerate(lines, 1):
            content = line.strip(_BLANKS)
            if not content or content[0] in "#;":
                continue
            if line[0] in _BLANKS:
                self.go_on(content)
            elif line[0] == "[":
                self.open(line)
            else:
                self.define(line)
        return self.sections

    def open(self, line: str) -> None:
        """`[profile x]`: what has no valid name is read too, into a section that nobody keeps."""
        title, bracket, rest = line[1:].partition("]")
        if not bracket or rest.strip(_BLANKS)[:1] not in ("", "#", ";"):
            raise self.fault("is not closed by a ]")
        key = self.key(title.strip(_BLANKS))
        if key is None:
            self.ignored.append((self.number, title.strip(_BLANKS)))
            self.section, self.section_lines = {}, {}
        else:
            self.section = self.sections.setdefault(key, {})
            self.section_lines = self.lines.setdefault(key, {})
        self.value = None

    def define(self, line: str) -> None:
        """`name = value`: an empty value may turn out to be a nested one."""
        if self.section is None:
            raise self.fault("stands before the first [section]")
        name, value = self.pair(line)
        self.value = [value] if value else {}
        if self.unique and name in self.section_lines:
            first = self.section_lines[name]
            found = f"line {self.number} sets the same name as line {first}"
            raise ConstructionError(self.file, _UNIQUE, found)
        self.section_lines[name] = self.number
        if re.fullmatch(_NAME, name):
            self.section[name] = self.value

    def go_on(self, content: str) -> None:
        """An indented line: one more of the value, or a property in it."""
        if self.section is None:
            raise self.fault("stands before the first [section]")
        if self.value is None:
            raise self.fault("goes on with a property, but there is none")
        if isinstance(self.value, list):
            self.value.append(content)
        else:
            name, value = self.pair(content)
            self.value[name] = value

    def pair(self, line: str) -> tuple[str, str]:
        comment = re.search(_INLINE_COMMENT, line)
        name, equals, value = line[: comment.start() if comment else None].partition("=")
        if not equals:
            raise self.fault("has no '='")
        if not (name := name.strip(_BLANKS)):
            raise self.fault("has no name before its '='")
        return name.lower(), value.strip(_BLANKS)

    def fault(self, what: str) -> ConstructionError:
        return ConstructionError(self.file, _SYNTAX, f"line {self.number} {what}")


def _lines(file: str, data: bytes | str) -> list[str]:
    """The lines of a file that is neither too large nor something else than text."""
    given = data if isinstance(data, str) else check_bytes(file, data)
    if isinstance(given, bytes) and given.startswith(_UTF16):
        raise ConstructionError(file, "UTF-8", "it is UTF-16, as PowerShell's > writes it")
    if len(given) > MAX_SIZE:
        raise ConstructionError(file, "at most 1 MiB", f"its size is {len(given)}")
    text = given if isinstance(given, str) else str(given, "utf-8", "surrogateescape")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if found := re.search(_NOT_UTF8, text):
        raise ConstructionError(
            file, "UTF-8", f"line {text.count(chr(10), 0, found.start()) + 1} holds other bytes"
        )
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise ConstructionError(file, f"at most {MAX_LINES} lines", f"it has {len(lines)}")
    return lines


def _finished(properties: _Properties) -> Settings:
    """Properties as they are handed out: lines joined, what is nested wrapped."""
    return RedactedMapping({name: _joined(value) for name, value in properties.items()})


def _joined(value: _Value) -> str | RedactedMapping[str]:
    if isinstance(value, list):
        return "\n".join(value)
    return RedactedMapping(value) if value else ""
