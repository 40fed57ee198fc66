"""Which paths are those of what passes, and the plans for them."""

import json
from typing import Any

import pytest

from proxy.simulator.file_store import FileStore
from proxy.simulator.form import Form, FormFile
from proxy.simulator.passed import Asked, build_passed_plan, is_passed
from proxy.simulator.plan import Data, Head, Plan, Wait


def _plan(asked: Asked, store: FileStore | None = None) -> Plan:
    return build_passed_plan(asked, store or FileStore(), created_at=7, face="http")


def _ask(path: str, body: dict[str, Any], method: str = "POST", query: str = "") -> Asked:
    return Asked(method, path, query, json.dumps(body).encode())


def _read(plan: Plan) -> tuple[int, bytes]:
    head = next(step for step in plan.steps if isinstance(step, Head))
    return head.status, b"".join(step.chunk for step in plan.steps if isinstance(step, Data))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/audio/speech",
        "/images/edits",
        "/v2/rerank",
        "/openai/v1/moderations",
        "/openai/deployments/m/audio/transcriptions",
        "/openai/files",
        "/v1/files/file-1/content",
        "/v1/batches/batch_1/cancel",
    ],
)
def test_a_path_of_theirs_is_known(path: str) -> None:
    """With any prefix that clients use."""
    assert is_passed(path)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/none", "/v1/models", "/"])
def test_no_other_path_is(path: str) -> None:
    """What other modules answer stays theirs."""
    assert not is_passed(path)


def test_a_path_names_the_model_of_a_deployment() -> None:
    """At Azure's paths the body has none."""
    asked = _ask("/openai/deployments/sim-echo/images/generations", {"prompt": "x"})
    assert _plan(asked).model == "sim-echo"


def test_speed_and_faults_go_by_the_models_name() -> None:
    """A wait stands before the head; a fault that any answer has is played, a chat's is refused."""
    body = {"model": "sim-echo@50ms", "input": "x"}
    assert isinstance(_plan(_ask("/v1/moderations", body)).steps[0], Wait)
    busy = _plan(_ask("/v1/moderations", {"model": "sim-fault-u23-503", "input": "x"}))
    assert (_read(busy)[0], busy.fault) == (503, "u23-503")
    chat = {"model": "sim-fault-u20-error-later", "input": "x"}
    assert _read(_plan(_ask("/v1/moderations", chat)))[0] == 400


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (_ask("/v1/moderations", {"model": "gpt", "input": "x"}), 404),
        (_ask("/v1/moderations", {"input": "x"}), 400),
        (Asked("POST", "/v1/moderations", body=b"["), 400),
        (_ask("/v1/moderations", {}, method="GET"), 405),
        (_ask("/v1/files", {}), 400),
        (_ask("/v1/files/none", {}, method="GET"), 404),
        (_ask("/v1/files/none", {}, method="POST"), 405),
    ],
)
def test_what_is_wrong_is_an_error_of_openais(asked: Asked, status: int) -> None:
    """Each has its status, and an error object."""
    found, body = _read(_plan(asked))
    assert found == status
    assert json.loads(body)["error"]["message"]


def test_files_and_batches_are_kept_between_requests() -> None:
    """What one request has put there the next finds."""
    store = FileStore()
    form = Form({"purpose": ["batch"]}, [FormFile("file", "a.jsonl", 3, b"{}\n")])
    file = json.loads(_read(_plan(Asked("POST", "/v1/files", form=form), store))[1])
    get = Asked("GET", f"/v1/files/{file['id']}/content")
    assert _read(_plan(get, store)) == (200, b"{}\n")
    listed = json.loads(_read(_plan(Asked("GET", "/v1/files", "purpose=x"), store))[1])
    assert listed["data"] == []
    asked = {"input_file_id": file["id"], "endpoint": "/v1/x", "completion_window": "24h"}
    batch = json.loads(_read(_plan(_ask("/v1/batches", asked), store))[1])
    cancel = Asked("POST", f"/v1/batches/{batch['id']}/cancel")
    assert json.loads(_read(_plan(cancel, store))[1])["status"] == "cancelled"
    one = Asked("GET", f"/v1/batches/{batch['id']}")
    assert json.loads(_read(_plan(one, store))[1])["id"] == batch["id"]
    assert json.loads(_read(_plan(Asked("GET", "/v1/batches"), store))[1])["data"]
    remove = Asked("DELETE", f"/v1/files/{file['id']}")
    assert json.loads(_read(_plan(remove, store))[1])["deleted"]
