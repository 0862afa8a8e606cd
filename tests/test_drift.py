"""The binding table agrees with the pinned botocore, and the comparison reports differences."""

from __future__ import annotations

import smruntime_core as sm

from . import drift


def test_binding_table_agrees_with_botocore() -> None:
    assert drift.differences() == []


def test_changed_member_is_reported() -> None:
    shapes = drift.model()["shapes"]
    shape = shapes["InvokeEndpointInput"]
    before = drift.compare("InvokeEndpoint", sm.InvokeEndpoint, shape, shapes)
    shape["members"]["Accept"]["locationName"] = "X-Accept"
    shape["members"]["Novel"] = {"shape": "Header", "location": "header", "locationName": "X-Novel"}
    shape["required"].append("TargetModel")
    del shape["members"]["SessionId"]
    found = drift.compare("InvokeEndpoint", sm.InvokeEndpoint, shape, shapes)
    assert {line.split(":")[0] for line in found if line not in before} == {
        f"InvokeEndpoint.{m}" for m in ("accept", "novel", "target_model", "session_id")
    }


def test_every_operation_of_botocore_is_known() -> None:
    assert drift.lacking() == []
