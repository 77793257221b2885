"""/api/v1/:workspace/keys: made, listed and revoked over HTTP."""
import re
import sqlite3

import pytest
from workspaces import other_key

URL = "/api/v1/test/keys"


def listed(server, **more):
    answer = server.get(URL, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["keys"]


def make(server, status=201, **body):
    answer = server.post(URL, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_made_shown_once_listed_and_revoked(make_server):
    server = make_server()
    [mine] = listed(server)
    assert mine["current"] and mine["name"] == "api_key setting" and mine["revoked"] is None and server.key.startswith(mine["prefix"])
    made = make(server, name="line 3 <b>ü")
    key = made.pop("key")
    assert re.fullmatch("sg_[A-Za-z0-9]{32}", key) and key.startswith(made["prefix"])
    assert listed(server) == [made, mine]
    assert [k["current"] for k in listed(server, key=key)] == [True, False]
    assert key not in server.get(URL).text and not made["current"]
    assert not any(key.encode() in p.read_bytes() for p in server.data.rglob("*") if p.is_file()) and key not in server.log()
    assert server.delete(f"{URL}/{made['id']}").status_code == 204
    assert server.get(URL, key=key).status_code == 401
    [revoked, still] = listed(server)
    assert revoked["id"] == made["id"] and revoked["revoked"] >= revoked["created"] and still == mine
    assert server.delete(f"{URL}/{made['id']}").status_code == 404
    told = [(x["by"], x["subject"], x["detail"]) for x in server.get("/api/v1/test/activity").json()["activity"] if x["action"] == "key"]
    assert told == [("api_key setting", "line 3 <b>ü", "revoked"), ("api_key setting", "line 3 <b>ü", "added"), (None, "api_key setting", "added")]
    server.restart()
    assert listed(server) == [revoked, mine] and server.get(URL, key=key).status_code == 401


def test_not_the_one_asked_with(make_server):
    server = make_server()
    own = listed(server)[0]["id"]
    answer = server.delete(f"{URL}/{own}")
    assert answer.status_code == 409 and "another one" in answer.json()["error"]
    signed_in = server.post("/api/v1/session", json={"key": server.key}, anonymous=True)
    cookie = {"Cookie": signed_in.headers["Set-Cookie"].split(";")[0], "Origin": server.url}
    assert server.delete(f"{URL}/{own}", anonymous=True, headers=cookie).status_code == 409
    second = make(server, name="second")
    assert server.delete(f"{URL}/{own}", key=second["key"]).status_code == 204
    assert server.get(URL).status_code == 401
    assert server.get(URL, anonymous=True, headers=cookie).status_code == 401  # a sign-in ends with its key


def test_by_a_cookie_only_from_here(make_server):
    server = make_server()
    signed_in = server.post("/api/v1/session", json={"key": server.key}, anonymous=True)
    cookie = {"Cookie": signed_in.headers["Set-Cookie"].split(";")[0]}
    assert server.post(URL, json={"name": "x"}, anonymous=True, headers=cookie).status_code == 401
    assert server.post(URL, json={"name": "x"}, anonymous=True, headers={**cookie, "Origin": "http://evil.example"}).status_code == 401
    assert len(listed(server)) == 1
    assert server.post(URL, json={"name": "x"}, anonymous=True, headers={**cookie, "Origin": server.url}).status_code == 201


def test_a_workspace_has_its_own(make_server):
    server = make_server()
    other = other_key(server)
    mine = make(server, name="mine")
    assert [k["name"] for k in server.get("/api/v1/other/keys", key=other).json()["keys"]] == ["others"]
    assert server.delete(f"/api/v1/other/keys/{mine['id']}", key=other).status_code == 404
    assert server.get(URL, key=mine["key"]).status_code == 200 and server.get("/api/v1/other/keys", key=mine["key"]).status_code == 401


@pytest.mark.parametrize("body, error", [
    ({}, "name is missing"), ({"name": ""}, "name is empty"), ({"name": 5}, "name must be a string"), ({"name": "a\nb"}, "name has a control character"),
    ({"name": "n" * 129}, "name has 129 bytes, the most is 128"), ({"name": "x", "key": "mine-to-choose"}, 'unknown member "key"'),
])
def test_what_makes_no_key(server, body, error):
    before = listed(server)
    assert make(server, 400, **body)["error"].startswith(error)
    assert listed(server) == before


def test_ids_that_are_none(server):
    for none in ("0", "-1", "x", "99999999999999999999", server.key[:8]):
        assert server.delete(f"{URL}/{none}").status_code == 404
    assert len(make(server, name="n" * 128)["name"]) == 128


def test_as_many_as_there_may_be(make_server):
    server = make_server()
    db = sqlite3.connect(server.data / "catalog.db")
    with db:
        db.executemany("INSERT INTO keys (workspace, hash, prefix, name, created_us, revoked_us) VALUES (1, ?, 'x', '', 0, 1)", [(bytes([n % 256, n // 256]),) for n in range(9998)])
    db.close()
    make(server, name="last")
    assert "10000 keys" in make(server, 507, name="one more")["error"]
    assert server.keys("add", "--name", "nor here").returncode == 1
    server.restart()  # the key of the settings is there already
