"""/api/v1/:workspace/views: pages of the dashboard under a name."""
import re
import sqlite3

import pytest
from workspaces import other_key

URL = "/api/v1/test/views"
GOOD = {"name": "doubtful <img onerror=x>", "page": "inferences", "query": "range=24h&filter=a%3Ab"}


def add(server, status=201, **change):
    answer = server.post(URL, json={**GOOD, **change})
    assert answer.status_code == status, answer.text
    return answer.json()


def listed(server):
    return server.get(URL).json()["views"]


def test_added_changed_removed_and_kept(make_server):
    server = make_server()
    assert listed(server) == []
    second = add(server, name="zebra", page="model/coco%2F24", query=None)
    first = add(server)
    assert re.fullmatch("[a-z0-9]{8}", first["id"]) and first["id"] != second["id"]
    assert {k: first[k] for k in ("name", "page", "query", "by")} == {**GOOD, "by": "api_key setting"} and second["query"] == ""
    assert listed(server) == [first, second]  # by name
    changed = server.put(f"{URL}/{first['id']}", json={"query": ""})
    assert changed.status_code == 200
    assert changed.json() == {**first, "query": "", "changed": changed.json()["changed"]} and changed.json()["changed"] > first["changed"]
    assert server.put(f"{URL}/{first['id']}", json={"name": "ü"}).json()["name"] == "ü"
    server.restart()
    assert [v["name"] for v in listed(server)] == ["zebra", "ü"]
    gone = server.delete(f"{URL}/{second['id']}")
    assert gone.status_code == 204 and gone.content == b""
    assert [v["name"] for v in listed(server)] == ["ü"]
    for method, more in (("DELETE", {}), ("PUT", {"json": {"name": "x"}})):
        assert server.request(method, f"{URL}/{second['id']}", **more).status_code == 404
    told = [(x["action"], x["subject"], x["detail"]) for x in server.get("/api/v1/test/activity").json()["activity"] if x["action"] == "view"]
    assert told == [("view", "zebra", "removed"), ("view", "ü", "changed"), ("view", GOOD["name"], "changed"), ("view", GOOD["name"], "added"),
                    ("view", "zebra", "added")]


def test_a_workspace_has_its_own(make_server):
    server = make_server()
    other = other_key(server)
    mine = add(server)
    assert server.get("/api/v1/other/views", key=other).json() == {"views": []}
    theirs = f"/api/v1/other/views/{mine['id']}"
    assert server.put(theirs, json={"name": "x"}, key=other).status_code == server.delete(theirs, key=other).status_code == 404
    assert listed(server) == [mine]


def test_limits_of_texts(server):
    whole = add(server, name="n" * 256, page="p" * 256, query="q" * 4096)
    assert server.delete(f"{URL}/{whole['id']}").status_code == 204
    for name, most in (("name", 256), ("page", 256), ("query", 4096)):
        assert add(server, 400, **{name: "x" * (most + 1)})["error"] == f"{name} has {most + 1} bytes, the most is {most}"


@pytest.mark.parametrize("change, error", [
    ({"name": ""}, "name is empty"), ({"name": None}, "name is missing"), ({"name": 5}, "name must be a string"), ({"name": "a\x00b"}, "the body is not JSON"),
    ({"name": "a\x1fb"}, "name has a control character"), ({"page": ""}, "page is empty"), ({"page": "//evil.example"}, "page must be"),
    ({"page": "a/../b"}, "page must be"), ({"page": "https://x"}, "page must be"), ({"page": "a b"}, "page must be"), ({"query": 1}, "query must be a string"),
    ({"more": 1}, 'unknown member "more"'),
])
def test_what_is_no_view(server, change, error):
    before = listed(server)
    assert add(server, 400, **change)["error"].startswith(error)
    there = add(server)
    if change.get("name", "") is not None:
        assert server.put(f"{URL}/{there['id']}", json=change).json()["error"].startswith(error)
    server.delete(f"{URL}/{there['id']}")
    assert listed(server) == before


def test_as_many_as_there_may_be(make_server):
    server = make_server()
    db = sqlite3.connect(server.data / "catalog.db")
    with db:
        db.executemany("INSERT INTO views VALUES (1, ?, 'x', 'x', '', 1, 0)", [(f"{n:08}",) for n in range(999)])
    db.close()
    last = add(server)
    assert "1000 views, the most" in add(server, 507)["error"]
    assert len(listed(server)) == 1000
    server.delete(f"{URL}/{last['id']}")
    add(server)
