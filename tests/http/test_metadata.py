"""Metadata over HTTP: the Roboflow call and the own API's PUT and DELETE, held to the law (architecture.md, 5)."""
import concurrent.futures
import datetime
import gzip
import json
import urllib.parse
import uuid
import zlib

import pytest
import requests

OK = {"status": "ok"}


def path(server):
    return f"/{server.workspace}/inference-stats/metadata"


def entry(ids, name="camera_location", value="canada"):
    return {"inference_ids": [ids] if isinstance(ids, str) else list(ids), "field_name": name, "field_value": value}


def post(server, data, status=200, **more):
    answer = server.post(path(server), json={"data": data}, **more)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json() == OK
    return answer.json()


def new_id():
    return str(uuid.uuid4())


def arrive(server, *ids, **more):
    """Inferences with these ids come in; fresh ones when none is named."""
    ids = ids or (new_id(),)
    answer = server.post(f"/api/v1/{server.workspace}/inferences", json=[{"model_id": "coco/24", "inference_id": i, **more} for i in ids])
    assert answer.status_code == 200, answer.text
    return ids[0] if len(ids) == 1 else ids


def one(inference_id, tail=""):
    return "/inferences/" + urllib.parse.quote(inference_id, safe="") + tail


def look(server, inference_id, status=200, **query):
    answer = server.get(f"/api/v1/{server.workspace}" + one(inference_id), params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def metadata(server, inference_id):
    return look(server, inference_id)["metadata"]


def history(server, inference_id, **query):
    return [(h["field"], h["value"], h["previous"]) for h in look(server, inference_id, **query)["metadata_history"]]


def field_path(server, inference_id, name):
    return f"/api/v1/{server.workspace}" + one(inference_id, "/metadata/" + urllib.parse.quote(name, safe=""))


def put(server, inference_id, name, value, status=200):
    answer = server.put(field_path(server, inference_id, name), json={"value": value})
    assert answer.status_code == status, answer.text
    return answer.json().get("result", answer.json())


def delete(server, inference_id, name):
    answer = server.delete(field_path(server, inference_id, name))
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def fields(server):
    answer = server.get(f"/api/v1/{server.workspace}/fields").json()
    return {name: answer[name] for name in ("fields", "pending")}


def field(server, name):
    return next((f for f in fields(server)["fields"] if f["name"] == name), None)


# --- before and after the inference

def test_attach_to_what_is_there(server):
    inference_id = arrive(server)
    post(server, [entry(inference_id)])
    assert metadata(server, inference_id) == {"camera_location": "canada"}


def test_what_comes_first_waits_and_joins(server):
    inference_id = new_id()
    waiting = fields(server)["pending"]["ids"]
    post(server, [entry(inference_id), entry(inference_id, "shift", "late")])
    pending = look(server, inference_id, status=404)
    assert pending["pending"] == {"camera_location": "canada", "shift": "late"} and len(pending["metadata_history"]) == 2
    assert fields(server)["pending"]["ids"] == waiting + 1 and fields(server)["pending"]["oldest"]
    arrive(server, inference_id)
    assert metadata(server, inference_id) == {"camera_location": "canada", "shift": "late"}
    assert history(server, inference_id) == [("shift", "late", None), ("camera_location", "canada", None)]
    assert fields(server)["pending"]["ids"] == waiting


def test_zero_detections_are_no_obstacle(server):
    inference_id = arrive(server, predictions=[])
    post(server, [entry(inference_id)])
    assert metadata(server, inference_id) == {"camera_location": "canada"}


def test_metadata_belongs_to_the_id_whatever_carries_it(server):
    inference_id = arrive(server)
    arrive(server, inference_id, index=1)
    arrive(server, inference_id, model_id="other/1")
    post(server, [entry(inference_id)])
    arrive(server, inference_id, index=2)
    for query in ({"index": 0, "model": "coco/24"}, {"index": 1}, {"index": 2}, {"model": "other/1"}):
        assert look(server, inference_id, **query)["metadata"] == {"camera_location": "canada"}


def test_many_entries_with_many_ids(server):
    there, waiting = arrive(server, *[new_id() for _ in range(30)]), [new_id() for _ in range(30)]
    post(server, [entry([*there, *waiting], "serial", "A1"), entry(there[:10], "shift", "early"), entry(waiting, "shift", "late")])
    assert metadata(server, there[0]) == metadata(server, there[9]) == {"serial": "A1", "shift": "early"}
    assert metadata(server, there[10]) == metadata(server, there[29]) == {"serial": "A1"}
    arrive(server, *waiting)
    assert metadata(server, waiting[29]) == {"serial": "A1", "shift": "late"}


def test_the_same_id_twice_in_an_entry_counts_once(server):
    inference_id = arrive(server)
    post(server, [entry([inference_id, inference_id])])
    assert history(server, inference_id) == [("camera_location", "canada", None)]


def test_within_a_request_the_last_entry_wins(server):
    inference_id = arrive(server)
    post(server, [entry(inference_id, "n", "1"), entry(inference_id, "n", "2"), entry(inference_id, "n", "1")])
    assert metadata(server, inference_id) == {"n": "1"}
    assert history(server, inference_id) == [("n", "1", "2"), ("n", "2", "1"), ("n", "1", None)]


def test_the_last_write_wins_and_every_earlier_one_stays_in_the_history(server):
    inference_id = arrive(server)
    before = datetime.datetime.now(datetime.timezone.utc)
    for value in ("canada", "emea", "emea", "apac"):
        post(server, [entry(inference_id, value=value)])
    assert metadata(server, inference_id) == {"camera_location": "apac"}
    found = look(server, inference_id)["metadata_history"]
    assert [(h["value"], h["previous"], h["removed"]) for h in found] == [
        ("apac", "emea", False), ("emea", "canada", False), ("canada", None, False)]  # the same again adds nothing
    times = [datetime.datetime.fromisoformat(h["time"].replace("Z", "+00:00")) for h in found]
    assert times == sorted(times, reverse=True) and before - datetime.timedelta(seconds=1) < times[-1]
    assert {h["by"] for h in found} == {"api_key setting"}  # the name of the key


def test_writes_at_the_same_time_each_stand_in_the_history(server):
    inference_id = arrive(server)

    def write(i):
        body = {"api_key": server.key, "data": [entry(inference_id, "n", str(i))]}
        return requests.post(server.url + path(server), json=body, timeout=30).status_code
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(64))) == {200}
    found = history(server, inference_id)
    assert sorted(int(value) for _, value, _ in found) == list(range(64)) and found[-1][2] is None
    assert all(newer[2] == older[1] for newer, older in zip(found, found[1:]))
    assert metadata(server, inference_id) == {"n": found[0][1]}


def test_names_are_case_sensitive_and_any_text(server):
    inference_id = arrive(server)
    names = ["my_location", "My_location", "größe (mm)", "温度", "a/b?c&d=e#f%", "\U0001f989", '"quoted"', "<img onerror=x>", " "]
    post(server, [entry(inference_id, name, name) for name in names])
    assert metadata(server, inference_id) == {name: name for name in names}


def test_values_are_any_text_and_may_be_empty(server):
    inference_id = arrive(server)
    values = ["", " ", "null", "1", "line\nbreak\ttab", "\x7f", "\x01", "😀", "x" * 4096, '{"a": 1}']
    post(server, [entry(inference_id, f"v{i}", value) for i, value in enumerate(values)])
    assert metadata(server, inference_id) == {f"v{i}": value for i, value in enumerate(values)}


def test_what_was_acknowledged_survives_a_kill(make_server):
    s = make_server()
    there, waiting = arrive(s), new_id()
    for i in range(20):
        post(s, [entry([there, waiting], "n", str(i))])
    s.kill9()
    s.start()
    assert metadata(s, there) == {"n": "19"} and len(history(s, there)) == 20
    assert look(s, waiting, status=404)["pending"] == {"n": "19"}
    arrive(s, waiting)
    s.restart()
    assert history(s, waiting) == history(s, there)


# --- whole or not at all

GOOD = {"inference_ids": ["never"], "field_name": "never", "field_value": "never"}
FAULTS = [
    ({}, "inference_ids is missing"),
    ({"field_name": "a", "field_value": "b"}, "inference_ids is missing"),
    ({"inference_ids": ["x"], "field_value": "b"}, "field_name is missing"),
    ({"inference_ids": ["x"], "field_name": "a"}, "field_value is missing"),
    ({**GOOD, "inference_ids": []}, "inference_ids is empty"),
    ({**GOOD, "inference_ids": "x"}, "inference_ids must be an array"),
    ({**GOOD, "inference_ids": {"x": 1}}, "inference_ids must be an array"),
    ({**GOOD, "inference_ids": ["x", 5]}, "inference_ids[1] must be a string"),
    ({**GOOD, "inference_ids": ["x", ["y"]]}, "inference_ids[1] must be a string"),
    ({**GOOD, "inference_ids": [None]}, "inference_ids[0] must be a string"),
    ({**GOOD, "inference_ids": [""]}, "inference_ids[0]"),
    ({**GOOD, "inference_ids": ["x" * 257]}, "256"),
    ({**GOOD, "inference_ids": ["x" * 10240]}, "256"),
    ({**GOOD, "inference_ids": ["a\nb"]}, "control character"),
    ({**GOOD, "field_name": ""}, "field_name"),
    ({**GOOD, "field_name": 5}, "field_name must be a string"),
    ({**GOOD, "field_name": None}, "field_name must be a string"),
    ({**GOOD, "field_name": "x" * 257}, "256"),
    ({**GOOD, "field_name": "ä" * 129}, "256"),
    ({**GOOD, "field_name": "x" * (1 << 20)}, "256"),
    ({**GOOD, "field_name": "a\x1fb"}, "control character"),
    ({**GOOD, "field_name": "a\x7fb"}, "control character"),
    ({**GOOD, "field_value": 5}, "field_value must be a string"),
    ({**GOOD, "field_value": True}, "field_value must be a string"),
    ({**GOOD, "field_value": None}, "field_value must be a string"),
    ({**GOOD, "field_value": ["x"]}, "field_value must be a string"),
    ({**GOOD, "field_value": "x" * 4097}, "4096"),
    ("x", "must be an object"),
    (None, "must be an object"),
    ([], "must be an object"),
]


@pytest.mark.parametrize("bad, what", FAULTS, ids=range(len(FAULTS)))
def test_a_faulty_entry_is_named_and_nothing_of_the_request_is_applied(server, bad, what):
    inference_id = arrive(server)
    before = fields(server)
    answer = post(server, [entry(inference_id, "whole"), bad, entry(inference_id, "whole2")], status=400)
    assert answer["error"] == "Invalid request" and answer["details"].startswith("data[1]") and what in answer["details"]
    assert metadata(server, inference_id) == {} and fields(server) == before


@pytest.mark.parametrize("body, what", [
    ({}, "data is missing"), ({"data": None}, "data must be an array"), ({"data": {}}, "data must be an array"),
    ({"data": "x"}, "data must be an array"), ([], "must be a JSON object"), ("x", "must be a JSON object"), (5, "must be a JSON object"),
    (None, "must be a JSON object"),
])
def test_a_body_of_another_shape(server, body, what):
    answer = server.post(path(server), json=body if body is not None else None, data=None if body is not None else "null")
    assert answer.status_code == 400 and answer.json()["error"] == "Invalid request" and what in answer.json()["details"]


def test_members_that_stand_there_twice(server):
    inference_id = arrive(server)
    whole = json.dumps([entry(inference_id)])
    twice = whole.replace('"field_value"', '"field_name": "x", "field_value"')
    for body, what in ((f'{{"data": {whole}, "data": []}}', "data stands there twice"),
                       (f'{{"data": {twice}}}', "field_name stands there twice")):
        answer = server.post(path(server), data=body)
        assert answer.status_code == 400 and what in answer.json()["details"]
    assert metadata(server, inference_id) == {}


def test_members_that_nobody_knows_are_passed_over(server):
    inference_id = arrive(server)
    body = {"data": [{**entry(inference_id), "comment": {"deep": [1, 2]}}], "trace": [[]], "nocache": True}
    assert server.post(path(server), json=body).json() == OK
    assert metadata(server, inference_id) == {"camera_location": "canada"}


def test_no_entries_at_all(server):
    assert post(server, []) == OK
    assert post(server, [], status=401, key="sg_wrong")["error"]
    assert server.post(path(server), json={"data": [], "api_key": server.key}, anonymous=True).json() == OK


# --- how it may be sent

@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", "application/xml",
                                          "application/x-www-form-urlencoded", "multipart/form-data", "nonsense", ""])
def test_it_is_json_under_any_content_type(server, content_type):
    inference_id = arrive(server)
    body = json.dumps({"data": [entry(inference_id)]})
    assert server.post(path(server), data=body, headers={"Content-Type": content_type}).json() == OK
    assert metadata(server, inference_id) == {"camera_location": "canada"}


def test_without_a_content_type(server):
    inference_id = arrive(server)
    body = json.dumps({"data": [entry(inference_id)]})
    head = f"POST {path(server)}?api_key={server.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    assert server.raw((head + body).encode()).endswith(b'{"status":"ok"}')
    assert metadata(server, inference_id) == {"camera_location": "canada"}


def test_spellings_of_the_path(server):
    for spelling in (path(server) + "/", "//" + path(server), path(server).replace("/", "//")):
        assert server.post(spelling, json={"data": []}).json() == OK


def test_gzip(server):
    inference_id = arrive(server)
    body = gzip.compress(json.dumps({"api_key": server.key, "data": [entry(inference_id)]}).encode())
    for name in ("gzip", "x-gzip", "GZIP"):
        answer = server.post(path(server), data=body, headers={"Content-Encoding": name}, anonymous=True)
        assert answer.json() == OK
    assert metadata(server, inference_id) == {"camera_location": "canada"}


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "compress"])
def test_encodings_that_are_not_spoken(server, encoding):
    answer = server.post(path(server), data=zlib.compress(b'{"data": []}'), headers={"Content-Encoding": encoding})
    assert answer.status_code == 415 and "gzip" in answer.json()["error"] and answer.headers["Accept-Encoding"] == "gzip, identity"


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b'{"data": []}')[:-4], gzip.compress(b'{"data": []}') + b"tail"])
def test_gzip_that_is_none(server, body):
    answer = server.post(path(server), data=body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400 and "gzip" in answer.json()["error"]


def test_chunked(server):
    inference_id = arrive(server)
    body = json.dumps({"data": [entry(inference_id)]}).encode()
    assert server.post(path(server), data=(body[i:i + 1] for i in range(len(body)))).json() == OK
    assert metadata(server, inference_id) == {"camera_location": "canada"}


def test_body_limit_at_it_and_one_past(make_server):
    s = make_server(max_body_metadata=2048)
    body = json.dumps({"data": [entry("x")]}).encode()
    full, over = body.ljust(2048), body.ljust(2049)

    def send(data, **headers):
        return s.post(path(s), data=data, headers=headers)
    assert send(full).json() == send(iter([full[:5], full[5:]])).json() == OK
    assert send(gzip.compress(full), **{"Content-Encoding": "gzip"}).json() == OK
    for answer in (send(over), send(iter([over[:5], over[5:]])), send(gzip.compress(over), **{"Content-Encoding": "gzip"})):
        assert answer.status_code == 413 and "2048 bytes" in answer.json()["error"], answer.text
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    bomb = gzip.compress(b" " * (1 << 20))
    assert len(bomb) < 2048 and send(bomb, **{"Content-Encoding": "gzip"}).status_code == 413


# --- limits, at them and one past

def test_lengths(server):
    longest_id, longest_name = "i" * 256, "ä" * 128
    post(server, [entry(longest_id, longest_name, "v" * 4096)])
    arrive(server, longest_id)
    assert metadata(server, longest_id) == {longest_name: "v" * 4096}


def test_ids_in_a_request(make_server):
    s = make_server(max_ids_per_request=1000)
    ids = [f"id-{i}" for i in range(1001)]
    post(s, [entry(ids[:600]), entry(ids[600:1000])])
    assert fields(s)["pending"]["ids"] == 1000
    assert "1000" in post(s, [entry(ids[:600], "b"), entry(ids[600:], "b")], status=400)["details"]
    assert fields(s)["pending"]["ids"] == 1000 and look(s, "id-0", status=404)["pending"] == {"camera_location": "canada"}


def test_a_hundred_thousand_ids(make_server):
    s = make_server()
    ids = [f"{i:032x}" for i in range(100000)]
    arrive(s, ids[0])
    post(s, [entry(ids)])
    assert fields(s)["pending"]["ids"] == 99999
    assert metadata(s, ids[0]) == {"camera_location": "canada"}
    s.restart()
    assert fields(s)["pending"]["ids"] == 99999
    assert look(s, ids[-1], status=404)["pending"] == {"camera_location": "canada"}


def test_fields_of_a_workspace(make_server):
    s = make_server(max_fields=5)
    inference_id = arrive(s)
    post(s, [entry(inference_id, f"f{i}") for i in range(5)])
    answer = post(s, [entry(inference_id, "f0", "changed"), entry(inference_id, "f5")], status=400)
    assert "max_fields" in answer["details"]
    assert metadata(s, inference_id) == {f"f{i}": "canada" for i in range(5)}
    assert "max_fields" in put(s, inference_id, "f6", 1, status=400)["error"]
    post(s, [entry(inference_id, "f4", "emea")])  # those that are there go on
    assert metadata(s, inference_id)["f4"] == "emea"


def test_waiting_ids_of_a_workspace(make_server):
    s = make_server(max_pending=3)
    post(s, [entry(["a", "b", "c"])])
    answer = post(s, [entry("a", "x"), entry("d", "x")], status=507)
    assert "max_pending" in answer["error"]
    assert look(s, "a", status=404)["pending"] == {"camera_location": "canada"}
    arrive(s, "a")
    post(s, [entry("d", "x")])
    assert fields(s)["pending"]["ids"] == 3


# --- one field of one inference

def test_put_sets_and_delete_removes(server):
    inference_id = arrive(server)
    assert put(server, inference_id, "operator", "Ada") == "applied"
    assert put(server, inference_id, "operator", "Ada") == "unchanged"
    assert put(server, inference_id, "operator", "Bob") == "applied"
    assert delete(server, inference_id, "operator") == "applied"
    assert metadata(server, inference_id) == {}
    assert delete(server, inference_id, "operator") == delete(server, inference_id, "never there") == "unchanged"
    assert put(server, inference_id, "operator", "Ada") == "applied"
    assert put(server, inference_id, "operator", None) == "applied"  # null removes too
    found = look(server, inference_id)["metadata_history"]
    assert [(h["value"], h["previous"], h["removed"]) for h in found] == [
        (None, "Ada", True), ("Ada", None, False), (None, "Bob", True), ("Bob", "Ada", False), ("Ada", None, False)]


def test_values_keep_their_types(server):
    inference_id = arrive(server)
    values = {"s": "1", "n": 1, "f": 0.1, "big": 1.7976931348623157e308, "small": 5e-324, "minus": -0.5, "t": True, "b": False, "e": ""}
    for name, value in values.items():
        assert put(server, inference_id, name, value) == "applied"
    assert metadata(server, inference_id) == values
    assert {name: type(value) for name, value in metadata(server, inference_id).items() if name in "stb"} == {"s": str, "t": bool, "b": bool}
    assert put(server, inference_id, "n", "1") == "applied"      # text is not the number
    assert put(server, inference_id, "n", 1.0) == "applied"
    assert put(server, inference_id, "n", 1) == "unchanged"
    assert put(server, inference_id, "n", True) == "applied"
    assert [h["value"] for h in look(server, inference_id)["metadata_history"] if h["field"] == "n"] == [True, 1, "1", 1]


def test_one_field_of_an_id_that_waits(server):
    inference_id = new_id()
    assert put(server, inference_id, "review", "correct") == "pending"
    assert put(server, inference_id, "review", "correct") == "unchanged"
    assert put(server, inference_id, "n", 3) == "pending"
    assert delete(server, inference_id, "review") == "pending"
    arrive(server, inference_id)
    assert metadata(server, inference_id) == {"n": 3}


def patch(server, inference_id, body, status=200):
    answer = server.request("PATCH", f"/api/v1/{server.workspace}" + one(inference_id, "/metadata"), json=body)
    assert answer.status_code == status, answer.text
    return answer.json().get("results", answer.json())


def test_several_fields_at_one_moment(server):
    inference_id = arrive(server)
    put(server, inference_id, "gone", "x")
    results = patch(server, inference_id, {"review": "correct", "reviewer": "<b>ü", "n": 5, "ok": True, "gone": None, "never": None})
    assert results == {"review": "applied", "reviewer": "applied", "n": "applied", "ok": "applied", "gone": "applied", "never": "unchanged"}
    assert metadata(server, inference_id) == {"review": "correct", "reviewer": "<b>ü", "n": 5, "ok": True}
    history = look(server, inference_id)["metadata_history"]
    assert len({h["time"] for h in history if h["field"] != "gone"}) == 1 and history[0]["removed"] == (history[0]["field"] == "gone")
    assert patch(server, inference_id, {"n": 5, "ok": False, "api_key": server.key}) == {"n": "unchanged", "ok": "applied"}
    waiting = new_id()
    assert patch(server, waiting, {"a": 1, "b": "2"}) == {"a": "pending", "b": "pending"}
    most = {f"f{n:03}": n for n in range(256)}
    assert len(patch(server, inference_id, most)) == 256


@pytest.mark.parametrize("body, what", [
    ({}, "no field"), ([], "JSON object"), ({"a": []}, '"a": must be'), ({"a": {}}, '"a": must be'), ({"": 1}, "empty"), ({"n" * 257: 1}, "257 bytes"),
    ({"a": "v" * 4097}, "4097 bytes"), ({"good": 1, "a\n": 1}, "control character"), ({f"f{n}": n for n in range(257)}, "256 fields"),
])
def test_a_patch_that_is_none_changes_nothing(server, body, what):
    inference_id = arrive(server)
    assert what in patch(server, inference_id, body, 400)["error"]
    assert metadata(server, inference_id) == {}


def test_a_field_twice_in_a_patch(server):
    inference_id = arrive(server)
    answer = server.request("PATCH", f"/api/v1/{server.workspace}" + one(inference_id, "/metadata"), data=b'{"a": 1, "a": 2}')
    assert answer.status_code == 400 and '"a": stands there twice' in answer.json()["error"]


def test_names_and_ids_in_the_path_are_any_text(server):
    inference_id = f"line 3/{new_id()}?#%"
    arrive(server, inference_id)
    for name in ("a/b", "größe (mm)", "50%", "?x=1&y#z", "a..b", "\U0001f989"):
        assert put(server, inference_id, name, name) == "applied"
        assert metadata(server, inference_id)[name] == name


@pytest.mark.parametrize("body, what", [
    ("", "JSON"), ("{", "JSON"), ("[]", "JSON"), ("3", "JSON"), ('{"value": 1} x', "JSON"), ("{}", "value is missing"),
    ('{"valu": 1}', "value is missing"), ('{"value": {}}', "value must be"), ('{"value": [1]}', "value must be"),
    ('{"value": 1e999}', "JSON"), ('{"value": NaN}', "JSON"), ('{"value": "' + "x" * 4097 + '"}', "4096"), ('{"value": "\\u0000"}', "JSON"),
    (b'{"value": "\xff"}', "JSON"),
])
def test_bad_values(server, body, what):
    inference_id = arrive(server)
    answer = server.put(field_path(server, inference_id, "x"), data=body)
    assert answer.status_code == 400 and what in answer.json()["error"], answer.text
    assert metadata(server, inference_id) == {} and history(server, inference_id) == []


def test_limits_in_the_path(server):
    inference_id = arrive(server)
    assert put(server, inference_id, "x" * 256, 1) == "applied"
    assert "256" in put(server, inference_id, "x" * 257, 1, status=400)["error"]
    assert "256" in put(server, "i" * 257, "x", 1, status=400)["error"]
    assert "control" in put(server, inference_id, "a\nb", 1, status=400)["error"]
    assert put(server, inference_id, "v", "x" * 4096) == "applied"


# --- seen

def test_fields_count_values_by_type(make_server):
    s = make_server()
    assert fields(s) == {"fields": [], "pending": {"ids": 0, "oldest": None}}
    ids = arrive(s, *[f"i{n}" for n in range(6)])
    post(s, [entry(ids[:3], "site", "a"), entry(ids[3], "site", "b"), entry("later", "site", "c")])
    put(s, ids[4], "site", 5)
    put(s, ids[5], "site", True)
    assert field(s, "site") == {"name": "site", "types": {"string": 4, "number": 1, "boolean": 1}, "inferences": 6, "values": 4, "estimated": False, "near": [],
                                "first": field(s, "site")["first"], "last": field(s, "site")["last"],
                                "top": [{"value": "a", "count": 3}, *field(s, "site")["top"][1:]]}
    assert {"value": 5, "count": 1} in field(s, "site")["top"] and {"value": True, "count": 1} in field(s, "site")["top"]
    assert fields(s)["pending"]["ids"] == 1
    delete(s, ids[5], "site")
    assert field(s, "site")["inferences"] == 5 and field(s, "site")["types"]["boolean"] == 0


def test_a_filter_finds_what_was_attached(server):
    ids = arrive(server, *[new_id() for _ in range(3)])
    serial = new_id()
    post(server, [entry(ids[1], "serial_number", serial)])
    for query in ({"metadata.serial_number": serial}, {"filter": f"serial_number:{serial}"}, {"filter": serial}):
        found = server.get(f"/api/v1/{server.workspace}/inferences", params=query).json()["inferences"]
        assert [f["inference_id"] for f in found] == [ids[1]], query
    post(server, [entry(ids[1], "serial_number", "another")])
    assert server.get(f"/api/v1/{server.workspace}/inferences/count", params={"metadata.serial_number": serial}).json()["count"] == 0
