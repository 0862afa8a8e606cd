"""The settings that `Client()` finds in the environment and in the shared files.

    setting          argument  environment                          profile
    profile          profile   AWS_PROFILE                          (else "default")
    region           region    AWS_REGION, AWS_DEFAULT_REGION       region
    endpoint         …_url     AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME,  services: sagemaker_runtime:
                               AWS_ENDPOINT_URL                     endpoint_url; endpoint_url
    endpoint of S3   s3_…_url  AWS_ENDPOINT_URL_S3,                 services: s3: endpoint_url;
                               AWS_ENDPOINT_URL                     endpoint_url
    ignore both URLs           AWS_IGNORE_CONFIGURED_ENDPOINT_URLS  ignore_configured_…_urls
    FIPS             use_fips  AWS_USE_FIPS_ENDPOINT                use_fips_endpoint
    dual stack       use_…     AWS_USE_DUALSTACK_ENDPOINT           use_dualstack_endpoint
    attempts         retries   AWS_MAX_ATTEMPTS                     max_attempts
    retry mode                 AWS_RETRY_MODE                       retry_mode
    longest pause              SMRUNTIME_RETRY_DELAY
    certificates     tls       AWS_CA_BUNDLE                        ca_bundle
    application      app_id    AWS_SDK_UA_APP_ID                    sdk_ua_app_id

A column further left wins. This is boto3's order with one difference, taken from the newer SDKs:
`AWS_REGION` is read too, and it wins over `AWS_DEFAULT_REGION`. If the caller or AWS_PROFILE names
a profile, that profile must exist. Every setting keeps its origin, so that `doctor` can show it and
an error can name it. (Credentials are found by `smruntime_core.credentials`.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..effects import MAX_FILE, FileContents, Flow, ReadFile
from ..errors import ConstructionError
from ..values._record import Record, field
from ..values._timeouts import Timeouts
from ._endpoints import Config
from ._profiles import Profiles, locations, parse

SERVICE: Final = "sagemaker_runtime"
RETRY_MODES: Final = ("standard", "adaptive", "legacy")  # all of them select the standard mode
MAX_APP_ID: Final = 50


class FoundSetting(NamedTuple):
    """A value and its origin: a variable, an argument or a profile."""

    value: str
    origin: str

    def refuse(self, member: str, rule: str) -> ConstructionError:
        """Return the error for a value that breaks `rule`, without quoting the value."""
        return ConstructionError(member, rule, f"the value from {self.origin} is invalid")


class Configuration(Record, kw_only=True):
    """The settings that were found.

    `origins` names the origin of each; `files` lists the files that were looked for, and whether
    they exist.
    """

    profile: str
    region: str | None = None
    endpoint_url: str | None = None
    s3_endpoint_url: str | None = None
    use_fips: bool = False
    use_dualstack: bool = False
    max_attempts: int | None = None
    longest_pause: float | None = None
    app_id: str | None = None
    ca_bundle: str | None = None
    origins: Mapping[str, str] = field(default={}, compare=False)
    files: tuple[tuple[str, bool], ...] = ()


def load_configuration(
    environ: Mapping[str, str], *, profile: str | None = None, home: str, windows: bool = False
) -> Flow[Configuration]:
    """Read the files that `environ` names, and return the settings that apply.

    Raises `ConstructionError` for a file or value that cannot be used; it names the origin of the
    value and does not quote it.
    """
    profiles, files = yield from read_shared_files(environ, home=home, windows=windows)
    return SettingSources(environ, profiles, profile).configuration(files)


def read_shared_files(
    environ: Mapping[str, str], *, home: str, windows: bool
) -> Flow[tuple[Profiles, tuple[tuple[str, bool], ...]]]:
    """Return the parsed shared files, and which of them exist.

    Raises `ConstructionError` for a file that cannot be used.
    """
    paths = locations(environ, home=home, windows=windows)
    contents: list[FileContents | None] = []
    for path in paths:
        content = yield from ReadFile(path)
        if content is not None and len(content) > MAX_FILE:
            raise ConstructionError(path, f"at most {MAX_FILE} bytes", "the file is too large")
        contents.append(content)
    profiles = parse(contents[0] or b"", contents[1] or b"", paths, unique=True)
    return profiles, tuple(
        (path, content is not None) for path, content in zip(paths, contents, strict=True)
    )


class SettingSources:
    """The sources that settings are looked up in: the environment and one profile."""

    def __init__(
        self, environ: Mapping[str, str], profiles: Profiles, profile_argument: str | None
    ) -> None:
        self._environ = environ
        self.profiles = profiles
        profile_choice = (
            FoundSetting(profile_argument, "the argument `profile`")
            if profile_argument is not None
            else self._find_variable("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
        )
        self.profile_name: str = profile_choice.value if profile_choice else "default"
        profile_settings = profiles.profile(self.profile_name)
        if profile_settings is None and profile_choice is not None:
            raise ConstructionError(
                "profile",
                "the name of a profile in the shared files",
                message=f"profile: {self.profile_name!r} (from {profile_choice.origin}) is not in "
                f"the config or credentials file{profiles.why_missing(self.profile_name)}",
            )
        self._profile_settings: Mapping[str, object] = profile_settings or {}
        self.origins: dict[str, str] = {
            "profile": profile_choice.origin if profile_choice else "the default"
        }

    def configuration(self, files: tuple[tuple[str, bool], ...]) -> Configuration:
        """Look up every setting."""
        region = self.find_setting(("AWS_REGION", "AWS_DEFAULT_REGION"), "region")
        ca_bundle = self.find_setting(("AWS_CA_BUNDLE",), "ca_bundle")
        return Configuration(
            profile=self.profile_name,
            region=self._value_of("region", region),
            endpoint_url=self._value_of("endpoint_url", self.find_endpoint(SERVICE)),
            s3_endpoint_url=self._value_of("s3_endpoint_url", self.find_endpoint("s3")),
            use_fips=self.find_flag("use_fips", "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
            use_dualstack=self.find_flag(
                "use_dualstack", "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"
            ),
            max_attempts=self._find_max_attempts(),
            longest_pause=self._find_longest_pause(),
            app_id=self._find_app_id(),
            ca_bundle=self._value_of("ca_bundle", ca_bundle),
            origins=self.origins,
            files=files,
        )

    def _find_variable(self, *variables: str) -> FoundSetting | None:
        for variable in variables:
            if value := self._environ.get(variable, "").strip():
                return FoundSetting(value, variable)
        return None

    def _find_property(self, property_name: str) -> FoundSetting | None:
        value = self._profile_settings.get(property_name)
        if isinstance(value, str) and value:
            return FoundSetting(value, f"profile {self.profile_name!r}")
        return None

    def find_setting(self, variables: tuple[str, ...], property_name: str) -> FoundSetting | None:
        """Return the first of the `variables` that is set, else the profile's property."""
        return self._find_variable(*variables) or self._find_property(property_name)

    def _value_of(self, member: str, setting: FoundSetting | None) -> str | None:
        """Return the value of `setting`, and note its origin for `member`."""
        if setting is None:
            return None
        self.origins[member] = setting.origin
        return setting.value

    def find_flag(self, member: str, variable: str, property_name: str) -> bool:
        """Return a flag, False if it is not set; raise `ConstructionError` for other values."""
        setting = self.find_setting((variable,), property_name)
        value = (self._value_of(member, setting) or "false").lower()
        if setting is not None and value not in ("true", "false"):
            raise setting.refuse(member, "true or false")
        return value == "true"

    def find_endpoint(self, service: str) -> FoundSetting | None:
        """Return the URL that is configured for `service`, by its name in the files."""
        if self.find_flag(
            "ignore_configured_endpoint_urls",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "ignore_configured_endpoint_urls",
        ):
            return None
        return (
            self._find_variable(f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL")
            or self._find_service_endpoint(service)
            or self._find_property("endpoint_url")
        )

    def _find_service_endpoint(self, service: str) -> FoundSetting | None:
        """Return the URL in the services section that the profile refers to."""
        reference = self._find_property("services")
        section = None if reference is None else self.profiles.services(reference.value)
        service_settings = None if section is None else section.get(service)
        if reference is None or not isinstance(service_settings, Mapping):
            return None
        endpoint_url = service_settings.get("endpoint_url")
        return FoundSetting(endpoint_url, f"services {reference.value!r}") if endpoint_url else None

    def _find_max_attempts(self) -> int | None:
        retry_mode = self.find_setting(("AWS_RETRY_MODE",), "retry_mode")
        if retry_mode is not None and retry_mode.value.lower() not in RETRY_MODES:
            raise retry_mode.refuse("retry_mode", f"one of {', '.join(RETRY_MODES)}")
        self._value_of("retry_mode", retry_mode)
        setting = self.find_setting(("AWS_MAX_ATTEMPTS",), "max_attempts")
        value = self._value_of("max_attempts", setting)
        if setting is None or value is None:
            return None
        is_number = value.isascii() and value.isdigit() and len(value) < 4
        if not (is_number and 1 <= int(value) <= 100):
            raise setting.refuse("max_attempts", "a whole number from 1 to 100")
        return int(value)

    def _find_longest_pause(self) -> float | None:
        """Return the longest wait before another attempt: tests of programs set it to 0."""
        setting = self._find_variable("SMRUNTIME_RETRY_DELAY")
        value = self._value_of("longest_pause", setting)
        if setting is None or value is None:
            return None
        if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,9})?", value, re.ASCII):
            raise setting.refuse("longest_pause", "a number of seconds, 0 for no pause")
        return float(value)

    def _find_app_id(self) -> str | None:
        setting = self.find_setting(("AWS_SDK_UA_APP_ID",), "sdk_ua_app_id")
        if setting is not None and len(setting.value) > MAX_APP_ID:
            raise ConstructionError(
                "app_id",
                f"at most {MAX_APP_ID} characters",
                f"the value from {setting.origin} has {len(setting.value)} characters",
            )
        return self._value_of("app_id", setting)


def make_config(
    configuration: Configuration,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    s3_endpoint_url: str | None = None,
    use_fips: bool | None = None,
    use_dualstack: bool | None = None,
    timeouts: Timeouts | None = None,
) -> Config:
    """Return the `Config` for `configuration`; an argument that is not None wins over it.

    Raises `ConstructionError` if there is no region.
    """
    region = configuration.region if region is None else region
    if region is None:
        raise ConstructionError(
            "region",
            "given",
            message="no region: pass region=, set AWS_REGION, or add it to the profile",
        )
    return Config(
        region=region,
        endpoint_url=configuration.endpoint_url if endpoint_url is None else endpoint_url,
        s3_endpoint_url=(
            configuration.s3_endpoint_url if s3_endpoint_url is None else s3_endpoint_url
        ),
        use_fips=configuration.use_fips if use_fips is None else use_fips,
        use_dualstack=configuration.use_dualstack if use_dualstack is None else use_dualstack,
        timeouts=Timeouts() if timeouts is None else timeouts,
    )
