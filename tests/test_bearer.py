"""Bearer tokens equal what botocore would make, and are refused if a byte differs."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, Credentials, Request, Scope, ServiceError
from smruntime_core.signing import BearerToken, bearer_token, presign, verify_bearer

NOW = 1_700_000_000
KEYS = Credentials("AKID", "secret")
HERE = Scope("eu-west-1", "sagemaker")
graphic = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=30)


@given(
    token=st.none() | graphic,
    now=st.integers(0, 4102444800),
    expires=st.integers(1, 43200),
    service=st.sampled_from(("sagemaker", "bedrock")),
)
def test_token_contains_the_url_that_botocore_presigns(
    token: str | None, now: int, expires: int, service: str
) -> None:
    auth, awsrequest, credentials = (
        pytest.importorskip(f"botocore.{name}") for name in ("auth", "awsrequest", "credentials")
    )
    host = f"{service}.amazonaws.com"
    theirs = awsrequest.AWSRequest(
        "POST", f"https://{host}/", headers={"host": host}, params={"Action": "CallWithBearerToken"}
    )
    with mock.patch.object(
        auth, "get_current_datetime", return_value=datetime.fromtimestamp(now, UTC)
    ):
        auth.SigV4QueryAuth(
            credentials.Credentials("AKID", "secret", token), service, "eu-west-1", expires=expires
        ).add_auth(theirs)
    inside = theirs.url.removeprefix("https://") + "&Version=1"
    known = Credentials("AKID", "secret", token)
    made = bearer_token(known, "eu-west-1", now=now, expires=expires, service=service)
    assert made == f"{service}-api-key-{b64encode(inside.encode()).decode()}"
    assert verify_bearer(made, {"AKID": known}, Scope("eu-west-1", service), now=now) is known


def rewritten(old: str, new: str) -> str:
    prefix, coded = TOKEN[:18], TOKEN[18:]
    return prefix + b64encode(b64decode(coded).decode().replace(old, new).encode()).decode()


TOKEN = bearer_token(KEYS, "eu-west-1", now=NOW, expires=60)
GET_CALLER = presign(
    Request("POST", "https://sagemaker.amazonaws.com/?Action=DeleteModel"), KEYS, HERE, now=NOW
).url


@pytest.mark.parametrize(
    ("token", "now"),
    [
        ("", NOW),
        ("sagemaker-api-key-", NOW),
        ("sagemaker-api-key-****", NOW),
        ("sagemaker-api-key-" + b64encode(b"\xff").decode(), NOW),
        (TOKEN.removeprefix("sagemaker-api-key-"), NOW),
        (TOKEN.replace("sagemaker", "bedrock"), NOW),
        (TOKEN, NOW + 61),
        (TOKEN, NOW - 301),
        (rewritten("&Version=1", ""), NOW),
        (rewritten("Expires=60", "Expires=61"), NOW),
        (rewritten("Expires=60", "Expires=43201"), NOW),
        (rewritten("eu-west-1", "eu-west-2"), NOW),
        (rewritten("sagemaker.amazonaws.com/", "elsewhere/"), NOW),
        (rewritten("Action=CallWithBearerToken&", ""), NOW),
        (
            "sagemaker-api-key-"
            + b64encode(f"{GET_CALLER.removeprefix('https://')}&Version=1".encode()).decode(),
            NOW,
        ),
    ],
)
def test_invalid_token_is_refused(token: str, now: float) -> None:
    assert verify_bearer(TOKEN, {"AKID": KEYS}, HERE, now=NOW) is KEYS
    with pytest.raises(ServiceError) as refused:
        verify_bearer(token, {"AKID": KEYS}, HERE, now=now)
    assert refused.value.status == 403


@given(st.text(st.characters(exclude_categories=()), max_size=40), st.booleans())
def test_any_text_raises_only_service_error(text: str, coded: bool) -> None:
    inner = (
        b64encode(f"sagemaker.amazonaws.com/?{text}&Version=1".encode("utf-8", "replace")).decode()
        if coded
        else text
    )
    with pytest.raises(ServiceError):
        verify_bearer(f"sagemaker-api-key-{inner}", {"AKID": KEYS}, HERE, now=NOW)


def test_token_is_replaced_before_it_ends() -> None:
    token = BearerToken(KEYS, "eu-west-1", expires=3600)
    first = token.at(NOW)
    assert token.at(NOW + 3299) is first
    second = token.at(NOW + 3300)
    assert second != first
    assert token.at(NOW) == first  # after the clock was set back, a later token is not used
    assert first not in repr(token)


def test_token_expires_with_its_credentials() -> None:
    given = iter(
        [
            Credentials("A", "b", expires_at=NOW + 1000.0),
            Credentials("B", "c", expires_at=NOW + 9000.0),
        ]
    )
    token = BearerToken(lambda: next(given), "eu-west-1")
    first = token.at(NOW)
    assert token.at(NOW + 699) is first
    assert token.at(NOW + 701) != first


@pytest.mark.parametrize("expires", [0, 43201, 1.0])
def test_expires_out_of_range_is_refused(expires: Any) -> None:
    with pytest.raises(ConstructionError, match="expires"):
        bearer_token(KEYS, "eu-west-1", now=NOW, expires=expires)


def signed_by_hand(query: str) -> str:
    """Return a token that signs `query` beside what `bearer_token` writes.

    `presign` drops parameters that it writes itself, so the signature is computed here from the
    canonical query, as another signer may.
    """
    scope = "20231114/eu-west-1/sagemaker/aws4_request"
    parameters = [
        "Action=CallWithBearerToken",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        f"X-Amz-Credential=AKID%2F{scope.replace('/', '%2F')}",
        "X-Amz-Date=20231114T221320Z",
        "X-Amz-SignedHeaders=host",
        *query.split("&"),
    ]
    decoded = sorted(unquote(pair) for pair in parameters if "Credential" not in pair)
    names = sorted([*decoded, parameters[2]])
    empty = hashlib.sha256(b"").hexdigest()
    host = "host:sagemaker.amazonaws.com\n"
    canonical = "\n".join(("POST", "/", "&".join(names), host, "host", empty))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", "20231114T221320Z", scope, digest))
    key = b"AWS4secret"
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    written = "&".join((*parameters, f"X-Amz-Signature={signature}", "Version=1"))
    inside = f"sagemaker.amazonaws.com/?{written}"
    return f"sagemaker-api-key-{b64encode(inside.encode()).decode()}"


def test_token_of_another_signer_is_accepted() -> None:
    token = signed_by_hand("X-Amz-Expires=43200")
    assert verify_bearer(token, {"AKID": KEYS}, HERE, now=NOW + 43_200) is KEYS


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Expires=604800&%58-Amz-Expires=43200",
        "%58-Amz-Expires=604800&X-Amz-Expires=43200",
        "X-Amz-Expires=604800&X-Amz-Expires=43200",
        "X-Amz-Expires=43200&x-amz-expires=604800",
        "X-Amz-Expires=0000000604800",
        "%58-Amz-Expires=604800",
        "X-Amz-Expires=60%34800",
        "X-Amz-Expires=43200&Action=DeleteModel",
        "X-Amz-Expires=43200&%41ction=DeleteModel",
    ],
)
@pytest.mark.parametrize("later", [0, 43_201, 604_000])
def test_repeated_parameter_or_longer_than_twelve_hours_is_refused(query: str, later: int) -> None:
    with pytest.raises(ServiceError) as refused:
        verify_bearer(signed_by_hand(query), {"AKID": KEYS}, HERE, now=NOW + later)
    assert refused.value.status == 403


@pytest.mark.parametrize("now", [float("nan"), float("inf")])
def test_time_that_is_not_finite_is_refused(now: float) -> None:
    with pytest.raises(ConstructionError, match=r"^now: "):
        verify_bearer(TOKEN, {"AKID": KEYS}, HERE, now=now)
    with pytest.raises(ConstructionError, match=r"^max_skew: "):
        verify_bearer(TOKEN, {"AKID": KEYS}, HERE, now=NOW, max_skew=now)
    with pytest.raises(ConstructionError, match=r"^now: "):
        bearer_token(KEYS, "eu-west-1", now=now)
    with pytest.raises(ConstructionError, match=r"^now: "):
        BearerToken(KEYS, "eu-west-1").at(now)
