"""Where `Client()` without arguments finds its way: the environment and the shared files, as a flow.

    what                    argument   environment                                    profile
    profile                 profile    AWS_PROFILE                                    (else "default")
    region                  region     AWS_REGION, AWS_DEFAULT_REGION                 region
    endpoint                …_url      AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME,            services: sagemaker_runtime: endpoint_url,
                                       AWS_ENDPOINT_URL                               endpoint_url
    endpoint of S3          s3_…_url   AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL          services: s3: endpoint_url, endpoint_url
    configured endpoints              AWS_IGNORE_CONFIGURED_ENDPOINT_URLS            ignore_configured_endpoint_urls
    FIPS, dual stack        use_…      AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_…     use_fips_endpoint, use_dualstack_endpoint
    attempts                retries    AWS_MAX_ATTEMPTS                               max_attempts
    retry mode                         AWS_RETRY_MODE                                 retry_mode
    certificates            tls        AWS_CA_BUNDLE                                  ca_bundle
    application                        AWS_SDK_UA_APP_ID                              sdk_ua_app_id

What stands further left wins. It is boto3's order, but where boto3 and the newer SDKs differ: `AWS_REGION` is read, and before
`AWS_DEFAULT_REGION`. A profile that is named must exist. Every value knows where it came from, so that `doctor` can say it and a
refusal names it. (Credentials have a room of their own, `credentials`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..effects import MAX_FILE, FileContents, Flow, ReadFile
from ..errors import ConstructionError
from ..values._record import Record, field
from ..values._timeouts import Timeouts
from ._endpoints import Config
from ._profiles import Profiles, locations, parse

SERVICE = "sagemaker_runtime"
RETRY_MODES = ("standard", "adaptive", "legacy")  # all of them are the standard one here
MAX_APP_ID = 50


class Found(NamedTuple):
    """A value and where it was found."""

    value: str
    where: str


class Configuration(Record, kw_only=True):
    """What was found. `origins` says where, by member; `files` are those that were looked for, with whether they are there."""

    profile: str
    region: str | None = None
    endpoint_url: str | None = None
    s3_endpoint_url: str | None = None
    use_fips: bool = False
    use_dualstack: bool = False
    max_attempts: int | None = None
    app_id: str | None = None
    ca_bundle: str | None = None
    origins: Mapping[str, str] = field(default={}, compare=False)
    files: tuple[tuple[str, bool], ...] = ()


def load_configuration(
    environ: Mapping[str, str], *, profile: str | None = None, home: str, windows: bool = False
) -> Flow[Configuration]:
    """Read the files that `environ` names and find out what holds.

    Raises `ConstructionError` for a file or value that cannot be used, naming the place and not the value.
    """
    profiles, files = yield from shared_files(environ, home=home, windows=windows)
    return Sources(environ, profiles, profile).configuration(files)


def shared_files(
    environ: Mapping[str, str], *, home: str, windows: bool
) -> Flow[tuple[Profiles, tuple[tuple[str, bool], ...]]]:
    """What the shared files say, and which there are; raises `ConstructionError` for one that cannot be used."""
    paths = locations(environ, home=home, windows=windows)
    texts: list[FileContents | None] = []
    for path in paths:
        text = yield from ReadFile(path)
        if text is not None and len(text) > MAX_FILE:
            raise ConstructionError(path, f"at most {MAX_FILE} bytes long")
        texts.append(text)
    profiles = parse(texts[0] or b"", texts[1] or b"", paths, unique=True)
    return profiles, tuple(
        (path, text is not None) for path, text in zip(paths, texts, strict=True)
    )


class Sources:
    """The environment and one profile, to be asked for values."""

    def __init__(self, environ: Mapping[str, str], profiles: Profiles, profile: str | None) -> None:
        self._environ = environ
        self.profiles = profiles
        named = (
            Found(profile, "the argument `profile`")
            if profile is not None
            else self._variable("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
        )
        self.name = named.value if named else "default"
        found = profiles.profile(self.name)
        if found is None and named is not None:
            missing = f"{self.name!r} ({named.where}) is not there{profiles.why_missing(self.name)}"
            raise ConstructionError("profile", "one that the shared files have", missing)
        self._profile: Mapping[str, object] = found or {}
        self.origins: dict[str, str] = {"profile": named.where if named else "the default"}

    def configuration(self, files: tuple[tuple[str, bool], ...]) -> Configuration:
        """All that is known."""
        return Configuration(
            profile=self.name,
            region=self._kept("region", self.find(("AWS_REGION", "AWS_DEFAULT_REGION"), "region")),
            endpoint_url=self._kept("endpoint_url", self.endpoint(SERVICE)),
            s3_endpoint_url=self._kept("s3_endpoint_url", self.endpoint("s3")),
            use_fips=self.flag("use_fips", "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
            use_dualstack=self.flag(
                "use_dualstack", "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"
            ),
            max_attempts=self._attempts(),
            app_id=self._app_id(),
            ca_bundle=self._kept("ca_bundle", self.find(("AWS_CA_BUNDLE",), "ca_bundle")),
            origins=self.origins,
            files=files,
        )

    def _variable(self, *names: str) -> Found | None:
        return next(
            (
                Found(value, name)
                for name in names
                if (value := self._environ.get(name, "").strip())
            ),
            None,
        )

    def _property(self, name: str) -> Found | None:
        value = self._profile.get(name)
        return Found(value, f"profile {self.name!r}") if isinstance(value, str) and value else None

    def find(self, variables: tuple[str, ...], name: str) -> Found | None:
        """What one of the `variables`, or the profile under `name`, says."""
        return self._variable(*variables) or self._property(name)

    def _kept(self, member: str, found: Found | None) -> str | None:
        if found is None:
            return None
        self.origins[member] = found.where
        return found.value

    def flag(self, member: str, variable: str, name: str) -> bool:
        """True or false, as they say; raises `ConstructionError` for anything else."""
        found = self.find((variable,), name)
        text = (self._kept(member, found) or "false").lower()
        if text not in ("true", "false"):
            raise ConstructionError(
                member, "true or false", f"that in {self.origins[member]} is neither"
            )
        return text == "true"

    def endpoint(self, service: str) -> Found | None:
        """The URL that is set for `service`, by the name that it has in the files."""
        if self.flag(
            "ignore_configured_endpoint_urls",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "ignore_configured_endpoint_urls",
        ):
            return None
        return (
            self._variable(f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL")
            or self._service(service)
            or self._property("endpoint_url")
        )

    def _service(self, service: str) -> Found | None:
        named = self._property("services")
        section = None if named is None else self.profiles.services(named.value)
        ours = None if section is None else section.get(service)
        url = ours.get("endpoint_url") if isinstance(ours, Mapping) else None
        return Found(url, f"services {named.value!r}") if named and url else None

    def _attempts(self) -> int | None:
        mode = self.find(("AWS_RETRY_MODE",), "retry_mode")
        if mode is not None and mode.value.lower() not in RETRY_MODES:
            raise ConstructionError(
                "retry_mode",
                f"one of {', '.join(RETRY_MODES)}",
                f"that in {mode.where} is none of them",
            )
        self._kept("retry_mode", mode)
        text = self._kept("max_attempts", self.find(("AWS_MAX_ATTEMPTS",), "max_attempts"))
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= 100):
            raise ConstructionError(
                "max_attempts",
                "a number from 1 to 100",
                f"that in {self.origins['max_attempts']} is not one",
            )
        return int(text)

    def _app_id(self) -> str | None:
        found = self._kept("app_id", self.find(("AWS_SDK_UA_APP_ID",), "sdk_ua_app_id"))
        if found is not None and len(found) > MAX_APP_ID:
            raise ConstructionError(
                "app_id",
                f"at most {MAX_APP_ID} characters",
                f"that in {self.origins['app_id']} has {len(found)}",
            )
        return found


def make_config(
    found: Configuration,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    s3_endpoint_url: str | None = None,
    use_fips: bool | None = None,
    use_dualstack: bool | None = None,
    timeouts: Timeouts | None = None,
) -> Config:
    """Where to call, from what was found and what was given (None: nothing); raises `ConstructionError` if there is no region."""
    region = found.region if region is None else region
    if region is None:
        raise ConstructionError(
            "region", "given, in AWS_REGION, or in the profile", "there is none"
        )
    return Config(
        region=region,
        endpoint_url=found.endpoint_url if endpoint_url is None else endpoint_url,
        s3_endpoint_url=found.s3_endpoint_url if s3_endpoint_url is None else s3_endpoint_url,
        use_fips=found.use_fips if use_fips is None else use_fips,
        use_dualstack=found.use_dualstack if use_dualstack is None else use_dualstack,
        timeouts=Timeouts() if timeouts is None else timeouts,
    )
