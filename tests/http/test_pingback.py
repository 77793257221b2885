"""POST /inference-stats, the pingback (protocol 3.2), as containers send it; and what could not be stored of it."""
import copy
import gzip
import json
import pathlib
import threading
import time
import uuid

import pytest
from pingbacks import HEADERS, TIME, item, pingback, post, thin
from workspaces import OTHER, other_key

KEY = "TESTKEY0123456789"
WHEN = "2026-11-21T19:39:07.938782Z"


@pytest.fixture(scope="module")
def server(fleet):
    s = fleet.make(workspace="acme", api_key=KEY)
    other_key(s, "line-3")
    return s


def report(server, items, status=200, key=KEY, **more):
    code, answer = post(server, pingback(key, items, **more))
    assert code == status, answer
    return answer


def counts(created=0, unchanged=0, conflicts=0, set_aside=0):
    return {"status": "ok", "created": created, "unchanged": unchanged, "conflicts": conflicts, "set_aside": set_aside}


def look(server, one, key=KEY, workspace="acme", **query):
    answer = server.get(f"/api/v1/{workspace}/inferences/{one['inference']['inference_id']}", key=key, params=query)
    return answer.json() if answer.status_code == 200 else None


def aside(server, workspace="acme", key=KEY, **query):
    answer = server.get(f"/api/v1/{workspace}/set-aside", key=key, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def reasons(server, n):
    return [a["reason"] for a in aside(server)["set_aside"][:n]][::-1]


# --- the thin form

def test_the_recorded_pingback(server):
    one = item(thin(("person", 0.91), time=0.0003735550000101284), key=KEY)
    empty = item([], key=KEY, model="empty/1", time=1795289947.9390182)
    assert report(server, [one, empty]) == counts(created=2)
    got = look(server, one)
    assert got["time"] == WHEN and got["latency_s"] == 0.0003735550000101284 and got["model_id"] == "coco/24" and got["index"] == 0
    assert (got["device_id"], got["server_id"], got["server_version"]) == ("edge-7", "srv-abc123", "1.5.0")
    assert (got["source"], got["source_info"], got["partial"], got["error"]) == ("external", "cam-1", False, None)
    assert [(p["class"], p["confidence"], p["x"], p["class_id"]) for p in got["predictions"]] == [("person", 0.91, None, None)]
    got = look(server, empty)
    assert got["predictions"] == [] and got["latency_s"] is None and got["time"] == "2026-11-21T19:39:07.939018Z"


def test_the_same_again_changes_nothing(server):
    one = item(thin(("person", 0.91)))
    assert report(server, [one]) == counts(created=1)
    assert report(server, [one]) == counts(unchanged=1)
    drifted = copy.deepcopy(one)
    drifted["inference"]["response"][0]["predictions"][0]["confidence"] = 0.5
    assert report(server, [drifted]) == counts(conflicts=1)
    assert look(server, one)["predictions"][0]["confidence"] == 0.91


def test_a_batch_has_an_index_a_picture(server):
    one = item(thin(("cat", 0.5)) + thin(("dog", 0.75), ("dog", 0.25)))
    assert report(server, [one]) == counts(created=2)
    assert [p["class"] for p in look(server, one, index=0)["predictions"]] == ["cat"]
    assert [p["class"] for p in look(server, one, index=1)["predictions"]] == ["dog", "dog"]


def test_thin_keypoints_and_labels_are_what_was_sent(server):
    points = item(thin(("nose", 0.9), ("left-eye", 0.8), ("right-eye", 0.7)), model="pose/1")
    labels = item(thin(("cat", 0.9), ("dog", 0.1)), model="labels/2", model_type="classification")
    assert report(server, [points, labels]) == counts(created=2)
    assert [p["class"] for p in look(server, points)["predictions"]] == ["nose", "left-eye", "right-eye"]
    assert [(p["class"], p["confidence"]) for p in look(server, labels)["predictions"]] == [("cat", 0.9), ("dog", 0.1)]


def test_values_that_servers_send_in_place_of_numbers_and_names(server):
    one = item(thin(("person", 0.9)), source=None, source_info=None, confidence="best")
    assert report(server, [one], tags=[""], hostname=None) == counts(created=1)
    assert look(server, one)["source"] is None


# --- the full form (TINY_CACHE=False)

FULL = {"id": "x", "usage_billable": True, "start": None, "disable_model_monitoring": False, "visualize_predictions": False}
BOX = {"x": 320.0, "y": 240.0, "width": 100.0, "height": 80.0, "confidence": 0.91, "class": "person", "class_confidence": None, "class_id": 0,
       "tracker_id": None, "detection_id": "5b6c2c0e-0000-4000-8000-000000000001", "parent_id": None}


def answered(predictions, **more):
    return {"visualization": None, "inference_id": "x", "frame_id": None, "time": 0.25, "predictions": predictions, **more}


def test_full_detections_of_one_picture_are_an_object(server):
    one = item(answered([BOX]), **FULL)
    assert report(server, [one]) == counts(created=1)
    got = look(server, one)
    assert got["latency_s"] == 0.25 and got["predictions"] == [{
        "class": "person", "class_id": 0, "confidence": 0.91, "x": 320.0, "y": 240.0, "width": 100.0, "height": 80.0,
        "detection_id": "5b6c2c0e-0000-4000-8000-000000000001"}]


def test_full_detections_of_a_batch_are_a_list(server):
    one = item([answered([BOX]), answered([]), answered([BOX, BOX])], **FULL)
    assert report(server, [one]) == counts(created=3)
    assert [len(look(server, one, index=i)["predictions"]) for i in range(3)] == [1, 0, 2]


def test_full_keypoints_and_outlines_are_kept(server):
    keypoints = [{"x": 1.5, "y": 2.5, "confidence": 0.5, "class_id": 0, "class": "nose"}]
    points = [{"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 4.0}, {"x": 5.0, "y": 6.0}]
    pose, mask = item(answered([{**BOX, "keypoints": keypoints}])), item(answered([{**BOX, "points": points, "mask_format": "polygon"}]))
    assert report(server, [pose, mask]) == counts(created=2)
    assert look(server, pose)["predictions"][0]["keypoints"] == keypoints
    got = look(server, mask)["predictions"][0]
    assert got["points"] == points and got["mask_format"] == "polygon" and "parent_id" not in got


def test_full_classifications(server):
    single = item(answered([{"class": "cat", "class_id": 0, "confidence": 0.9}, {"class": "dog", "class_id": 1, "confidence": 0.1}],
                           top="cat", confidence=0.9))
    multi = item(answered({"cat": {"confidence": 0.9, "class_id": 0}, "dog": {"confidence": 0.2, "class_id": 1}}, predicted_classes=["cat"]))
    assert report(server, [single, multi]) == counts(created=2)
    want = [("cat", 0, 0.9), ("dog", 1, 0.1)]
    assert [(p["class"], p["class_id"], p["confidence"]) for p in look(server, single)["predictions"]] == want
    want = [("cat", 0, 0.9), ("dog", 1, 0.2)]
    assert [(p["class"], p["class_id"], p["confidence"]) for p in look(server, multi)["predictions"]] == want


# --- keys

def test_items_go_to_the_workspaces_of_their_keys(server):
    mine, theirs, unsaid = item(thin(("a", 0.5)), key=KEY), item(thin(("b", 0.5)), key=OTHER), item(thin(("c", 0.5)), key=None)
    assert report(server, [mine, theirs, unsaid]) == counts(created=3)
    assert look(server, mine) and look(server, unsaid) and look(server, theirs) is None
    assert look(server, theirs, key=OTHER, workspace="line-3") and look(server, mine, key=OTHER, workspace="line-3") is None


def test_a_key_that_nobody_knows_is_set_aside_and_not_shown(server):
    stray, good = item(thin(("a", 0.5)), key="sg_never_heard_of_it"), item(thin(("b", 0.5)), key=KEY)
    assert report(server, [stray, good]) == counts(created=1, set_aside=1)
    last = aside(server)["set_aside"][0]
    assert "api_key" in last["reason"] and last["item"]["inference"]["request"]["api_key"] == "(removed)"
    assert "never_heard_of_it" not in json.dumps(aside(server))


def test_a_bad_item_of_another_workspace_is_set_aside_there(server):
    before = aside(server)["total"]
    assert report(server, [item(thin(("secret", 7)), key=OTHER)]) == counts(set_aside=1)
    assert aside(server)["total"] == before
    assert aside(server, "line-3", OTHER)["set_aside"][0]["item"]["inference"]["response"][0]["predictions"][0]["class"] == "secret"


@pytest.mark.parametrize("outer", [None, "", "None", "sg_never_heard_of_it"])
def test_items_with_keys_need_no_outer_one(server, outer):
    good, lost = item(thin(("a", 0.5)), key=OTHER), item(thin(("a", 0.5)), key=None)
    assert report(server, [good, lost], key=outer) == counts(created=1)
    assert look(server, good, key=OTHER, workspace="line-3") and look(server, lost) is None
    assert "error" in report(server, [lost], key=outer, status=401)
    assert "error" in report(server, [], key=outer, status=401)


def test_the_outer_key_may_stand_in_query_or_header_or_last(server):
    for target, more in ((f"/inference-stats?api_key={KEY}", ""), ("//inference-stats", f"Authorization: Bearer {KEY}\n")):
        one = item(thin(("a", 0.5)))
        assert post(server, pingback(None, [one]), target, more="Content-Type: application/json\n" + more)[0] == 200 and look(server, one)
    one = item(thin(("a", 0.5)))
    body = pingback(KEY, [one])
    body = {**{k: v for k, v in body.items() if k != "api_key"}, "api_key": KEY}
    assert post(server, body)[1] == counts(created=1)


# --- what is wrong with items, and with bodies

BAD = [
    (lambda i: i["inference"].pop("inference_id"), "inference_id is missing"),
    (lambda i: i["inference"].update(inference_id=7), "inference_id must be a string"),
    (lambda i: i["inference"].update(inference_id="x" * 257), "257 bytes"),
    (lambda i: i["inference"]["request"].update(model_id=None), "model_id is missing"),
    (lambda i: i["inference"]["request"].update(model_id="m" * 1025), "model_id has 1025 bytes"),
    (lambda i: i["inference"].update(request=3), "request must be an object"),
    (lambda i: i["inference"].pop("response"), "response is missing"),
    (lambda i: i["inference"].update(response="none"), "response must be"),
    (lambda i: i["inference"].update(response=[1]), "response[0]"),
    (lambda i: i["inference"]["response"][0].update(predictions="x"), "predictions must be"),
    (lambda i: i["inference"]["response"][0].update(time="fast"), "time must be a number"),
    (lambda i: i["inference"]["response"][0]["predictions"][0].update(confidence=1.5), "confidence must be from 0 to 1"),
    (lambda i: i["inference"]["response"][0]["predictions"][0].pop("class"), "class is missing"),
    (lambda i: i.update(request_time="now"), "request_time must be a number"),
    (lambda i: i.update(request_time=-1), "request_time must be from"),
    (lambda i: i.pop("inference"), "inference is missing"),
]


def test_bad_items_are_set_aside_with_their_reason_and_the_rest_is_stored(server):
    items, good = [], []
    for spoil, _ in BAD:
        good.append(item(thin(("a", 0.5))))
        bad = item(thin(("a", 0.5)), key=KEY)
        spoil(bad)
        items += [bad, good[-1]]
    before = aside(server)["total"]
    assert report(server, items + [17, None, "x", []]) == counts(created=len(good), set_aside=len(BAD) + 4)
    told = reasons(server, len(BAD) + 4)
    assert all(want in got for (_, want), got in zip(BAD, told)), told
    assert aside(server)["total"] == before + len(BAD) + 4
    assert all(look(server, one) for one in good)


def test_an_item_that_the_store_refuses_is_found_among_good_ones(make_server):
    server = make_server(workspace="acme", api_key=KEY, max_per_id=2)
    batch, good = item(thin(("a", 0.5)) * 3), [item(thin(("a", 0.5))) for _ in range(5)]
    assert report(server, good[:2] + [batch] + good[2:]) == counts(created=5, set_aside=1)
    last = aside(server)["set_aside"][0]
    assert "max_per_id" in last["reason"] and last["item"]["inference"]["inference_id"] == batch["inference"]["inference_id"]


@pytest.mark.parametrize("body, said", [
    (b"", "not JSON"), (b"{", "not JSON"), (b"[]", "object"), (b"17", "object"), (b"\xff", "not JSON"), (b"<html>", "not JSON")])
def test_an_unreadable_body_is_refused(server, body, said):
    status, answer = post(server, body)
    assert status == 400 and said in answer["error"]


@pytest.mark.parametrize("results", [{}, "x", 3, True])
def test_results_that_are_no_list_are_refused(server, results):
    status, answer = post(server, pingback(KEY, results))
    assert status == 400 and "inference_results" in answer["error"]


def test_a_body_that_breaks_off_applies_nothing(server):
    """Cut in its JSON with the length that says so, and cut on the way: in memory and in a file."""
    for padding in (0, 400_000):
        first = item(thin(("a", 0.5)), key=KEY)
        data = json.dumps(pingback(KEY, [first, item(thin(("b", 0.5)), source_info="x" * 900)] + [item([]) for _ in range(padding // 350)])).encode()
        status, answer = post(server, data[:-10])
        assert status == 400 and "not JSON" in answer["error"]
        with server.connect() as s:
            s.sendall(f"POST /inference-stats HTTP/1.1\n{HEADERS}Content-Length: {len(data)}\n\n".replace("\n", "\r\n").encode() + data[:-10])
        assert report(server, [])["status"] == "ok" and look(server, first) is None
        assert post(server, data)[0] == 200 and look(server, first)


def test_a_heartbeat(server):
    assert report(server, []) == counts()
    assert report(server, None) == counts()
    status, answer = post(server, {k: v for k, v in pingback(KEY, []).items() if k != "inference_results"})
    assert (status, answer) == (200, counts())


@pytest.mark.parametrize("more", ["", "Content-Type: text/plain\n", "Content-Type: application/json; charset=utf-8\n"])
def test_any_content_type_will_do(server, more):
    assert post(server, pingback(KEY, [item(thin(("a", 0.5)))]), more=more) == (200, counts(created=1))


def test_escapes_and_other_members(server):
    one = item(thin(("Gl\u00fchlampe \"A\" \U0001f600", 0.5)), model="caf\u00e9/1")
    assert report(server, [one], unknown={"a": [1, {"b": None}]}, device_id="stra\u00dfe-1") == counts(created=1)
    got = look(server, one)
    assert got["predictions"][0]["class"] == "Gl\u00fchlampe \"A\" \U0001f600" and got["model_id"] == "caf\u00e9/1" and got["device_id"] == "stra\u00dfe-1"


# --- what was set aside

def test_set_aside_in_pages_and_as_lines(server):
    report(server, [item(thin(("a", 0.5)), model=None) for _ in range(5)])
    everything = aside(server, limit=10000)["set_aside"]
    first = aside(server, limit=2)
    second = aside(server, limit=2, before=first["next_before"])
    assert first["set_aside"] + second["set_aside"] == everything[:4]
    answer = server.get("/api/v1/acme/set-aside", params={"format": "ndjson", "limit": 10000})
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.text.splitlines()] == everything
    for query in ({"limit": 0}, {"limit": 10001}, {"format": "csv"}, {"before": "x"}, {"nonsense": 1}):
        assert server.get("/api/v1/acme/set-aside", params=query).status_code == 400


def test_the_newest_are_kept_and_all_are_counted_also_after_a_kill(make_server):
    server = make_server(workspace="acme", api_key=KEY, set_aside_most=3)
    assert aside(server) == {"set_aside": [], "total": 0, "kept": 0, "next_before": None}
    report(server, [item([], model=None, source_info=f"cam-{i}") for i in range(5000)])
    server.kill9()
    server.start()
    got = aside(server)
    assert got["total"] == 5000 and got["kept"] == 3
    assert [a["item"]["inference"]["request"]["source_info"] for a in got["set_aside"]] == ["cam-4999", "cam-4998", "cam-4997"]


def test_a_long_item_leaves_its_reason(server):
    report(server, [item(thin(("a", 2), *[("x" * 900, 0.5)] * 40))])
    last = aside(server)["set_aside"][0]
    assert last["item"] is None and "confidence" in last["reason"]


# --- long bodies

def long_body(size, key=KEY):
    """At least `size` bytes; (the body, how many items)."""
    one = json.dumps(item(thin(("person", 0.91), ("car", 0.5)), key=key)) + ", "
    count = size // len(one) + 1
    head, tail = json.dumps(pingback(key, ["@"])).split('"@"')
    items = [json.dumps(item(thin(("person", 0.91), ("car", 0.5)), key=key, time=TIME + i / 1000)) for i in range(count)]
    return (head + ", ".join(items) + tail).encode(), count


def count(server):
    return server.get("/api/v1/acme/inferences/count").json()["count"]


def test_a_long_body_is_stored_whole_packed_or_not(make_server):
    server = make_server(workspace="acme", api_key=KEY)
    data, n = long_body(3_000_000)
    assert post(server, data) == (200, counts(created=n))
    assert post(server, gzip.compress(data, 1), more="Content-Encoding: gzip\n") == (200, counts(unchanged=n))
    assert count(server) == n
    chunks = (data[i:i + 100_000] for i in range(0, len(data), 100_000))
    assert server.post("/inference-stats", data=chunks, anonymous=True).json() == counts(unchanged=n)
    assert post(server, gzip.compress(data, 1)[:-20], more="Content-Encoding: gzip\n")[0] == 400


@pytest.mark.parametrize("packed", [False, True])
def test_the_limit_of_a_body(make_server, packed):
    server = make_server(workspace="acme", api_key=KEY, max_body_pingback="1M")
    fits = json.dumps(pingback(KEY, [])).encode()
    fits += b" " * ((1 << 20) - len(fits))
    for data, status in ((fits, 200), (fits + b" ", 413)):
        if packed:
            assert post(server, gzip.compress(data), more="Content-Encoding: gzip\n")[0] == status
        else:
            assert server.post("/inference-stats", data=data, anonymous=True).status_code == status


def resident(server):
    """Anonymous and file pages of the program, in bytes: (now, the most so far)."""
    lines = pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    named = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Vm") or line.startswith("Rss")}
    return named["VmRSS"], named["VmHWM"]


def test_bodies_do_not_grow_memory(make_server):
    """Sixteen of 12 MB at once: held in memory they would be 190 MB. Everything in them was stored before."""
    server = make_server(workspace="acme", api_key=KEY)
    if "libasan" in pathlib.Path(f"/proc/{server.process.pid}/maps").read_text():
        pytest.skip("the sanitizer keeps what was freed")
    data, n = long_body(12_000_000)
    assert post(server, data)[1] == counts(created=n)
    assert post(server, data)[1] == counts(unchanged=n)
    pathlib.Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    before = resident(server)[0]
    answers = []
    senders = [threading.Thread(target=lambda: answers.append(post(server, data))) for _ in range(16)]
    for s in senders:
        s.start()
    for s in senders:
        s.join()
    assert answers == [(200, counts(unchanged=n))] * 16
    assert resident(server)[1] - before < 64 << 20
