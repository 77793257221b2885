"""Inferences that are deleted by id: in no answer any more, in no file, and so it stays."""
import datetime
import pathlib

import pytest

from conftest import wait_for
from test_read_api import NOON, get, ids, ingest, stamp

IDS = [f"i{n}" for n in range(20)]


def delete(server, *gone, status=200):
    answer = server.post(f"/api/v1/{server.workspace}/inferences/delete", json={"ids": list(gone)})
    assert answer.status_code == status, answer.text
    return answer.json()


def attach(server, of, field, value):
    answer = server.put(f"/api/v1/{server.workspace}/inferences/{of}/metadata/{field}", json={"value": value})
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def fill(server):
    """Twenty inferences, a minute apart, each with metadata; one id waits."""
    items = [{
        "inference_id": name, "model_id": f"coco/{n % 2}", "time": stamp(NOON + datetime.timedelta(minutes=n)), "device_id": f"cam {n % 3}",
        "predictions": [{"class": "dog", "confidence": 0.5, "x": 1, "y": 2, "width": 3, "height": 4}], "metadata": {"camera": f"c{n}", "line": "one"},
    } for n, name in enumerate(IDS)]
    assert set(ingest(server, *items)) == {"created"}
    assert attach(server, "i3", "line", "two") == "applied" and attach(server, "waits", "line", "three") == "pending"


@pytest.fixture
def filled(make_server):
    server = make_server()
    fill(server)
    return server


def everything(server):
    """What the server says of all it has, by every way there is."""
    stats = get(server, "stats", **{"from": stamp(NOON), "to": stamp(NOON + datetime.timedelta(hours=1))})
    fields = get(server, "fields")
    groups = server.post(f"/api/v1/{server.workspace}/query", json={"groups": [{"by": ["device"], "measures": ["inferences", "detections"]}]})
    return {
        "ids": ids(server), "count": get(server, "inferences/count")["count"], "current": stats["current"], "models": stats["models"],
        "facets": get(server, "facets")["facets"], "fields": fields["fields"], "pending": fields["pending"],
        "groups": groups.json()["answers"][0]["rows"],
        "found": get(server, "inferences/count", filter='metadata.camera:c3')["count"],
    }


def test_it_is_gone_from_every_answer(filled):
    assert delete(filled, "i3", "i7", "i7", "waits", "nobody") == {"deleted": 2, "ids": 3, "unknown": 1}
    rest = [i for i in reversed(IDS) if i not in ("i3", "i7")]
    all_ = everything(filled)
    assert all_["ids"] == rest and all_["count"] == 18 and all_["found"] == 0
    assert sum(row[1] for row in all_["groups"]) == 18 and all_["current"]["inferences"] == 18 and all_["current"]["detections"] == 18
    assert sum(m["inferences"] for m in all_["models"]) == 18
    assert "c3" not in str(all_) and "two" not in str(all_) and "three" not in str(all_)
    assert all_["pending"]["ids"] == 0
    for one in ("i3", "i7", "waits"):
        missing = get(filled, f"inferences/{one}", 404)
        assert "pending" not in missing and "metadata_history" not in missing
    filled.kill9()
    filled.start()
    assert everything(filled) == all_
    assert delete(filled, "i3", "waits") == {"deleted": 0, "ids": 0, "unknown": 2}


def test_it_is_noted_how_many_went_but_not_which(filled):
    delete(filled, "nobody")
    delete(filled, "i3", "waits", "nobody")
    noted = [a for a in get(filled, "activity")["activity"] if a["action"] == "delete"]
    assert [(a["subject"], a["count"], a["detail"]) for a in noted] == [("inferences", 1, "2 ids")]


def test_what_comes_later_is_new(filled):
    assert delete(filled, "i3")["deleted"] == 1
    assert attach(filled, "i3", "line", "after") == "pending"
    assert ingest(filled, {"inference_id": "i3", "model_id": "other/1", "predictions": []}) == ["created"]
    one = get(filled, "inferences/i3")
    assert one["model_id"] == "other/1" and one["metadata"] == {"line": "after"}
    assert [h["value"] for h in one["metadata_history"]] == ["after"] and one["metadata_history"][0]["previous"] is None


def test_pages_go_on(filled):
    page = get(filled, "inferences", limit=6)
    seen = [i["inference_id"] for i in page["inferences"]]
    delete(filled, "i19", seen[-1], "i13", "i2")  # seen, the last one seen, the next one, one of later
    while page["next_cursor"]:
        page = get(filled, "inferences", limit=6, cursor=page["next_cursor"])
        seen += [i["inference_id"] for i in page["inferences"]]
    assert seen == [i for i in reversed(IDS) if i not in ("i13", "i2")]


def files_with(server, text):
    return sorted(str(p) for p in pathlib.Path(server.data).rglob("*") if p.is_file() and text.encode() in p.read_bytes())


def test_no_file_has_it(filled):
    ingest(filled, {"inference_id": "known by this name", "model_id": "m/1", "predictions": [], "metadata": {"serial": "a very own value"}})
    delete(filled, "known by this name")
    for text in ("known by this name", "a very own value"):
        assert all("/journal/" in name for name in files_with(filled, text))
    filled.restart()  # what is done each minute is done at the start too
    wait_for(lambda: not files_with(filled, "known by this name"), what="the journal without it")
    assert not files_with(filled, "a very own value") and len(ids(filled)) == 20


def test_another_workspace_keeps_its_own(filled):
    key = filled.keys("add", "--workspace", "other", "--name", "theirs").stdout.strip().splitlines()[-1]
    path, bearer = "/api/v1/other/inferences", {"Authorization": f"Bearer {key}"}
    wait_for(lambda: filled.get(path, headers=bearer, anonymous=True).status_code == 200)
    sent = filled.post(path, headers=bearer, anonymous=True, json={"inference_id": "i3", "model_id": "m/1", "predictions": []})
    assert sent.status_code == 200
    assert filled.post(path + "/delete", json={"ids": ["i3"]}).status_code == 401  # our key does not open theirs
    assert delete(filled, "i3")["deleted"] == 1
    assert filled.get(path + "/i3", headers=bearer, anonymous=True).status_code == 200


def test_an_id_that_is_called_like_the_route(filled):
    ingest(filled, {"inference_id": "delete", "model_id": "m/1", "predictions": []})
    assert ids(filled, filter="id:delete") == ["delete"]  # its own path is the route's, as with "count"
    assert delete(filled, "delete")["deleted"] == 1 and ids(filled, filter="id:delete") == []


def test_limits(filled):
    assert delete(filled, *[f"x{n}" for n in range(998)], "i1", "i2") == {"deleted": 2, "ids": 2, "unknown": 998}
    assert "1000" in delete(filled, *[f"x{n}" for n in range(1001)], status=400)["error"]
    assert len(ids(filled)) == 18


@pytest.mark.parametrize("body, says", [
    (b"", "JSON"), (b"{", "JSON"), (b"[]", "object"), (b'{"ids": "i1"}', "array"), (b"{}", "ids"), (b'{"ids": []}', "from 1"),
    (b'{"ids": ["i1", 5]}', "ids[1]"), (b'{"ids": ["i1", ""]}', "ids[1]"), (b'{"ids": ["' + b"x" * 257 + b'"]}', "ids[0]"),
    (b'{"ids": ["i1"], "filter": "model:x"}', "filter"), (b'{"ids": ["i1"], "ids": ["i2"]}', "duplicate"),
])
def test_bad_bodies(server, body, says):
    answer = server.post(f"/api/v1/{server.workspace}/inferences/delete", data=body)
    assert answer.status_code == 400 and says in answer.json()["error"], answer.text


def test_a_filter_is_not_taken_for_no_filter(filled):
    answer = filled.post(f"/api/v1/{filled.workspace}/inferences/delete?filter=model:m", json={"ids": ["i1"]})
    assert answer.status_code == 400 and "filter" in answer.json()["error"] and len(ids(filled)) == 20


def test_who_may(server):
    path = f"/api/v1/{server.workspace}/inferences/delete"
    assert server.post(path, json={"ids": ["i1"]}, anonymous=True).status_code == 401
    assert server.post(path, json={"ids": ["i1"], "api_key": server.key}, anonymous=True).status_code == 200
    assert server.delete(path).status_code == 405
