"""The work of this library and every peer: one signed call with a body of 100 bytes.

Every call has its own `inference_id`, its own trace in `custom_attributes` and its own body, as the
calls of an application do. Peers in other environments import this module, so it needs no package.
"""

from __future__ import annotations

from itertools import count
from typing import Any

REGION = "eu-west-1"
SERVICE = "sagemaker"
SERVICE_URL = "https://runtime.sagemaker.eu-west-1.amazonaws.com"
ACCESS_KEY_ID = "AKIDEXAMPLEEXAMPLE00"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SESSION_TOKEN = "IQoJb3JpZ2luX2VjE" + "x" * 283
CREDENTIAL_MEMBERS = (ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN)
SIGNING_TIME = 1.8e9  # seconds since the epoch

REQUEST_TARGET = "/endpoints/churn/invocations"
LARGE_SIZE = 25_000_000  # bytes, the most that SageMaker takes and answers
LARGE_ENDPOINT = "large"  # the server answers its calls with LARGE_SIZE bytes
TINY_EVENTS_ENDPOINT = "tiny-events"  # the server streams 8 million JSON records in one part

HEADER_NAMES = {
    "content_type": "Content-Type",
    "accept": "Accept",
    "custom_attributes": "X-Amzn-SageMaker-Custom-Attributes",
    "target_variant": "X-Amzn-SageMaker-Target-Variant",
    "inference_id": "X-Amzn-SageMaker-Inference-Id",
}

_call_numbers = count(1)


def fresh_members() -> dict[str, Any]:
    """Return the members of a call that differs from all calls before."""
    call_number = next(_call_numbers)
    return {
        "endpoint_name": "churn",
        "content_type": "text/csv",
        "accept": "application/json",
        "custom_attributes": f"trace={call_number:032x}; tier=gold",
        "target_variant": "AllTraffic",
        "inference_id": f"order-20260101-{call_number:06d}",
        "body": b"%011d" % call_number + b",0.1,0.25,7" * 8 + b"\n",
    }


def large_members() -> dict[str, Any]:
    """Return the members of a call with a body of `LARGE_SIZE` bytes."""
    call_members = fresh_members()
    return call_members | {"body": call_members["body"] * (LARGE_SIZE // len(call_members["body"]))}


def large_answer_members() -> dict[str, Any]:
    """Return the members of a call that is answered with `LARGE_SIZE` bytes."""
    return fresh_members() | {"endpoint_name": LARGE_ENDPOINT}


def repeated_members() -> dict[str, Any]:
    """Return the same members each time."""
    return _REPEATED_MEMBERS


_REPEATED_MEMBERS = fresh_members()


def botocore_names(call_members: dict[str, Any]) -> dict[str, Any]:
    """Return members under the names that botocore gives them."""
    return {name.title().replace("_", ""): value for name, value in call_members.items()}


def botocore_parameters() -> dict[str, Any]:
    """Return fresh members as botocore's parameters."""
    return botocore_names(fresh_members())


def member_headers(call_members: dict[str, Any]) -> dict[str, str]:
    """Return the five header fields that carry members; Host, date and token are signed too."""
    return {header: call_members[name] for name, header in HEADER_NAMES.items()}
