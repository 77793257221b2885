"""GET /api/v1/:workspace/activity: who did what, and what is added up."""
import datetime
import sqlite3
import threading
import time

import requests
from conftest import wait_for
from workspaces import other_key

URL = "/api/v1/test/activity"
ATTACH = "/test/inference-stats/metadata"
SHIFTS = "/api/v1/test/shifts"


def entries(server, url=URL, **more):
    """But those of the keys that the test began with."""
    answer = server.get(url, **more)
    assert answer.status_code == 200, answer.text
    return [x for x in answer.json()["activity"] if x["action"] != "key"]


def told(server, **more):
    """Without ids and times, and attaches of a minute and the next one together."""
    sums = {}
    for x in entries(server, **more):
        key = (x["action"], x["subject"], x["by"], x["reviewer"], x["detail"])
        sums[key] = sums.get(key, 0) + x["count"]
    return sums


def attach(server, *data, **more):
    entry = lambda ids, field, value: {"inference_ids": ids, "field_name": field, "field_value": value}
    answer = server.post(ATTACH, json={"data": [entry(*d) for d in data]}, **more)
    assert answer.status_code == 200, answer.text


def test_attaches_are_added_up_by_key_and_field(make_server):
    server = make_server()
    assert entries(server) == []
    made = server.keys("add", "--name", "second <b>")
    second = made.stdout.strip()
    wait_for(lambda: server.get(URL, key=second).status_code == 200)
    for _ in range(3):
        attach(server, (["a", "b"], "camera", "canada"), (["a"], "shift", "night"))
    attach(server, (["c"], "camera", "mexico"), key=second)
    server.put("/api/v1/test/inferences/a/metadata/camera", json={"value": 5})
    server.delete("/api/v1/test/inferences/a/metadata/camera")
    first = "api_key setting"
    assert told(server) == {
        ("attach", "camera", first, None, None): 7, ("attach", "shift", first, None, None): 3, ("attach", "camera", "second <b>", None, None): 1,
        ("attach", "camera", first, None, "removed"): 1,
    }
    newest = entries(server)[0]
    assert abs(datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(newest["time"].replace("Z", "+00:00"))).total_seconds() < 130
    refused = server.post(ATTACH, json={"data": [{"inference_ids": [], "field_name": "x", "field_value": "y"}]})
    assert refused.status_code == 400 and not any(x["subject"] == "x" for x in entries(server))
    server.restart()
    assert told(server)[("attach", "camera", first, None, None)] == 7
    attach(server, (["a"], "camera", "canada"))
    assert told(server)[("attach", "camera", first, None, None)] == 8


def test_a_review_has_its_value_and_who_typed_it(make_server):
    server = make_server()
    attach(server, (["a"], "review", "correct"), (["a"], "review_comment", "fine"), (["a"], "reviewer", "Анна <b>"))
    attach(server, (["b"], "review", "correct"), (["b"], "reviewer", "Анна <b>"))
    attach(server, (["c"], "review", "incorrect"))
    attach(server, (["c"], "review_comment", "later"), (["c"], "reviewer", "x"))
    server.delete("/api/v1/test/inferences/c/metadata/review")
    server.request("PATCH", "/api/v1/test/inferences/d/metadata", json={"reviewer": "Анна <b>", "review_comment": "x", "review": "correct", "camera": 1})
    by = "api_key setting"
    assert told(server) == {
        ("review", "review", by, "Анна <b>", "correct"): 3, ("attach", "camera", by, None, None): 1, ("review", "review", by, None, "incorrect"): 1, ("review", "review", by, None, "removed"): 1,
        ("attach", "review_comment", by, None, None): 1, ("attach", "reviewer", by, None, None): 1,
    }


def test_it_is_on_disk_without_being_asked_for(make_server):
    """The catalog's thread writes it; what came before that lives through a kill."""
    server = make_server()
    attach(server, (["a"], "camera", "canada"))

    def kept():
        db = sqlite3.connect(f"file:{server.data}/catalog.db?mode=ro", uri=True)
        try:
            return db.execute("SELECT sum(count) FROM activity WHERE summed = 1").fetchone()[0]
        finally:
            db.close()
    wait_for(lambda: kept() == 1)
    server.kill9()
    server.start()
    assert told(server) == {("attach", "camera", "api_key setting", None, None): 1}


def test_a_change_of_a_setting_is_there_at_once_also_after_a_kill(make_server):
    server = make_server()
    body = {"zone": "Europe/Berlin", "shifts": [{"name": "early", "from": "06:00", "to": "14:00", "days": [1]}]}
    assert server.put(SHIFTS, json=body).status_code == 200
    server.kill9()
    server.start()
    assert told(server) == {("setting", "shifts", "api_key setting", None, "early 06:00-14:00; Europe/Berlin"): 1}
    assert server.put(SHIFTS, json={"shifts": 1}).status_code == 400
    assert len(entries(server)) == 1


def test_pages(make_server):
    server = make_server()
    for n in range(7):
        server.put(SHIFTS, json={"shifts": [{"name": f"n{n}", "from": "06:00", "to": "14:00", "days": [1]}]})
    seen, before = [], None
    while True:
        page = server.get(URL, params={"limit": 4, **({"before": before} if before else {})}).json()
        seen += page["activity"]
        before = page["next"]
        if before is None:
            break
        assert len(page["activity"]) == 4
    assert seen.pop()["action"] == "key"
    assert [x["detail"].split()[0] for x in seen] == [f"n{n}" for n in reversed(range(7))]
    assert [x["id"] for x in seen] == sorted((x["id"] for x in seen), reverse=True)
    assert entries(server, params={"limit": 7}) == seen and server.get(URL, params={"limit": 7}).json()["next"] == seen[-1]["id"]
    for wrong in ({"limit": 0}, {"limit": 1001}, {"before": 0}, {"before": "x"}, {"nonsense": 1}):
        assert server.get(URL, params=wrong).status_code == 400, wrong


def test_a_workspace_has_its_own(make_server):
    server = make_server()
    other = other_key(server)
    attach(server, (["a"], "camera", "canada"))
    server.put(SHIFTS, json={"shifts": []})
    theirs = entries(server, "/api/v1/other/activity", key=other)
    assert not any(x["subject"] in ("camera", "shifts") for x in theirs)
    assert server.get("/api/v1/other/activity").status_code == 401


def test_as_many_of_each_kind_as_the_setting_says(make_server):
    """No number of attaches takes the place of a change, nor of another workspace's."""
    server = make_server(activity_most=5)
    other = other_key(server)
    server.put("/api/v1/other/shifts", json={"shifts": []}, key=other)
    for n in range(4):
        server.put(SHIFTS, json={"shifts": []})
    attach(server, *((["a"], f"field {n}", "x") for n in range(5)))
    got = entries(server)
    assert sorted(x["action"] for x in got) == ["attach"] * 5 + ["setting"] * 4
    attach(server, *((["a"], f"more {n}", "x") for n in range(3)))
    for n in range(3):
        server.put(SHIFTS, json={"zone": "UTC", "shifts": []})
    got = entries(server)
    assert sorted(x["action"] for x in got) == ["attach"] * 5 + ["setting"] * 5
    assert sum(x["subject"].startswith("more") for x in got) == 3 and sum(x["detail"] == "; UTC" for x in got) == 3
    assert [x["action"] for x in entries(server, "/api/v1/other/activity", key=other)].count("setting") == 1


def test_many_at_once_are_all_counted(make_server):
    server = make_server()

    def send():
        with requests.Session() as http:
            http.trust_env = False
            for n in range(50):
                body = {"data": [{"inference_ids": [f"i{n}", f"j{n}"], "field_name": f"f{n % 3}", "field_value": str(n)}]}
                assert http.post(server.url + ATTACH, params={"api_key": server.key}, json=body, timeout=30).status_code == 200
    threads = [threading.Thread(target=send) for _ in range(8)]
    [t.start() for t in threads]
    while any(t.is_alive() for t in threads):
        entries(server)  # those who read and those who write meet
        time.sleep(0.05)
    [t.join() for t in threads]
    assert sum(told(server).values()) == 8 * 50 * 2
    assert len(told(server)) == 3
