"""The work that everybody does, in nobody's terms: one signed call of 100 bytes, answered by 104.

Nothing is imported here, so that a peer in an environment of its own reads the same lines.
"""

from __future__ import annotations

REGION = "eu-west-1"
SERVICE = "sagemaker"
URL = "https://runtime.sagemaker.eu-west-1.amazonaws.com"
KEYS = ("AKIDEXAMPLEEXAMPLE00", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjE" + "x" * 283)  # id, secret, token
NOW = 1.8e9

BODY = b"0.1,0.25,7;" * 9 + b"\n"  # 100 bytes
TEXT = {  # member: (as botocore calls it, the header field that carries it, value)
    "content_type": ("ContentType", "Content-Type", "text/csv"),
    "accept": ("Accept", "Accept", "application/json"),
    "custom_attributes": ("CustomAttributes", "X-Amzn-SageMaker-Custom-Attributes", "trace=1f6b2c; tier=gold"),
    "target_variant": ("TargetVariant", "X-Amzn-SageMaker-Target-Variant", "AllTraffic"),
    "inference_id": ("InferenceId", "X-Amzn-SageMaker-Inference-Id", "order-20260101-000042"),
}
TARGET = "/endpoints/churn/invocations"
FIELDS = {field: value for _, field, value in TEXT.values()}  # with Host, date and token: eight to sign
PARAMETERS: dict[str, object] = {"EndpointName": "churn", "Body": BODY, **{name: value for name, _, value in TEXT.values()}}

LARGE = 25_000_000  # bytes: what SageMaker takes at most, both ways
LARGE_ENDPOINT = "large"  # whose answer is so long
