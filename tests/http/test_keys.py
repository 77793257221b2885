"""`sightglass keys`, beside a running server, and which key opens what."""
import os
import re
import subprocess

import pytest
from conftest import BINARY, wait_for


def opens(server, key):
    answer = server.get("/?api_key=" + key, anonymous=True)
    return answer.json()["workspace"] if answer.ok else None


def test_add_prints_the_key_alone_and_it_works_within_a_second(server):
    made = server.keys("add", "--name", "line 3", workspace="line-3")
    assert made.returncode == 0 and re.fullmatch(r"sg_[A-Za-z0-9]{32}\n", made.stdout) and made.stderr == ""
    key = made.stdout.strip()
    wait_for(lambda: opens(server, key) == "line-3", seconds=1)


def test_a_fleet_keeps_the_key_it_has(server):
    key = "rf_OldKeyOfTheFleet"
    taken = server.keys("add", "--stdin", stdin=key + "\n")
    assert taken.returncode == 0 and key not in taken.stdout + taken.stderr
    wait_for(lambda: opens(server, key) == server.workspace, seconds=1)
    assert server.keys("add", "--stdin", stdin=key).returncode == 0  # again is no error
    other = server.keys("add", "--stdin", stdin=key, workspace="another")
    assert other.returncode == 1 and "already opens another workspace" in other.stderr


@pytest.mark.parametrize("how", ["id", "prefix"])
def test_revoke_by_id_or_prefix_works_within_a_second(server, how):
    name = f"to revoke by {how}"
    key = server.keys("add", "--name", name).stdout.strip()
    wait_for(lambda: opens(server, key), seconds=1)
    row = next(line for line in server.keys("list").stdout.splitlines() if name in line)
    which = row.split()[0] if how == "id" else row.split()[1]
    assert key.startswith(row.split()[1]) and key not in server.keys("list").stdout
    assert server.keys("revoke", which).returncode == 0
    wait_for(lambda: opens(server, key) is None, seconds=1)
    again = server.keys("revoke", which)
    assert again.returncode == 1 and which in again.stderr
    row = next(line for line in server.keys("list").stdout.splitlines() if name in line)
    assert row.split()[3].endswith("Z")  # when it was revoked


def test_keys_outlive_kill9_and_restart(make_server):
    s = make_server()
    key = s.keys("add").stdout.strip()
    wait_for(lambda: opens(s, key))
    s.kill9()
    s.start()
    assert opens(s, key) == s.workspace
    s.keys("revoke", key[:8])
    wait_for(lambda: not opens(s, key))
    s.restart()
    assert opens(s, key) is None


@pytest.mark.parametrize("arguments, stdin, says", [
    (["add", "--stdin"], "", "no key came"),
    (["add", "--stdin"], "short\n", "8 to 512"),
    (["add", "--stdin"], "with a space\n", "without spaces"),
    (["add", "--stdin"], "x" * 513, "512"),
    (["revoke", "999999"], "", "999999"),
    (["revoke", "sg_none"], "", "sg_none"),
])
def test_what_cannot_be_done_says_why(server, arguments, stdin, says):
    result = server.keys(*arguments, stdin=stdin)
    assert result.returncode == 1 and says in result.stderr and result.stdout == ""


@pytest.mark.parametrize("slug", ["api", "Model", "infer", "inference-stats", "-x", "a/b", "x" * 65, "..", "caf\u00e9"])
def test_names_that_no_workspace_can_have(server, slug):
    result = server.keys("add", workspace=slug)
    assert result.returncode == 1 and "workspace" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["add"], ["dance", "--data", "x", "--workspace", "y"],
                                       ["revoke", "--data", "x", "--workspace", "y"],
                                       ["list", "--data", "x", "--workspace", "y", "too", "much"],
                                       ["list", "--no-such", "x"]])
def test_called_wrongly_it_shows_how(arguments):
    plain = {k: v for k, v in os.environ.items() if not k.startswith("SIGHTGLASS_")}
    result = subprocess.run([str(BINARY), "keys", *arguments], capture_output=True, text=True, timeout=30, env=plain)
    assert result.returncode == 2 and "keys revoke" in result.stderr


def test_a_folder_without_a_catalog_and_an_unknown_workspace(server, tmp_path):
    command = [str(BINARY), "keys", "add", "--data", str(tmp_path), "--workspace", "x"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.returncode == 1 and str(tmp_path) in result.stderr and "serve" in result.stderr
    assert list(tmp_path.iterdir()) == []
    result = server.keys("list", workspace="nobody-here")
    assert result.returncode == 1 and "nobody-here" in result.stderr


def test_keys_are_kept_as_hashes(server):
    key = server.keys("add").stdout.strip()
    kept = b"".join(path.read_bytes() for path in server.data.rglob("*") if path.is_file())
    assert key.encode() not in kept and server.key.encode() not in kept
    for path in server.data.glob("catalog.db*"):
        assert path.stat().st_mode & 0o077 == 0


# --- which key counts: query, then Bearer, then body; "None", empty and null are none


GOOD, BAD = "good", "bad"


@pytest.mark.parametrize("query, bearer, body, status", [
    (GOOD, None, None, 200), (None, GOOD, None, 200), (None, None, GOOD, 200), (None, None, None, 401),
    (GOOD, BAD, BAD, 200), (BAD, GOOD, GOOD, 401),
    (None, GOOD, BAD, 200), (None, BAD, GOOD, 401),
    ("None", GOOD, None, 200), ("", GOOD, BAD, 200), ("None", None, GOOD, 200), ("", "None", GOOD, 200),
    ("None", "", "None", 401),
])
def test_the_first_key_that_is_present_decides(server, query, bearer, body, status):
    value = {GOOD: server.key, BAD: "sg_wrong_wrong", "None": "None", "": ""}
    headers = {} if bearer is None else {"Authorization": "Bearer " + value[bearer]}
    data = {} if body is None else {"api_key": value[body]}
    path = "/" if query is None else "/?api_key=" + value[query]
    answer = server.post(path, headers=headers, json=data, anonymous=True)
    assert answer.status_code == status
    if status == 401:
        assert "api_key" in answer.json()["error"] and answer.headers["WWW-Authenticate"] == "Bearer"


def test_json_null_is_no_key(server):
    assert server.post("/?api_key=None", json={"api_key": None}, anonymous=True).status_code == 401
    assert server.post("/", data="not json", anonymous=True).status_code == 401
    assert server.post("/", data=b"", anonymous=True).status_code == 401


@pytest.mark.parametrize("query", ["", "None", "wrong"])
def test_the_start_page_is_the_key_lookup_as_soon_as_api_key_is_there(server, query):
    page = server.get("/", anonymous=True)
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html") and "/ui/" in page.text
    assert server.get("/?nocache=true", anonymous=True).headers["Content-Type"].startswith("text/html")
    lookup = server.get("/?api_key=" + query, anonymous=True)
    assert lookup.status_code == 401 and "error" in lookup.json()
    assert lookup.headers["Content-Type"] == "application/json"
    good = server.get(f"/?api_key={server.key}&nocache=true", anonymous=True)
    assert good.status_code == 200 and good.json() == {"workspace": server.workspace}


@pytest.mark.parametrize("method, path", [("GET", "/api/v1/%s/fields"), ("POST", "/%s/inference-stats/metadata")])
def test_another_workspace_is_refused_the_same_whether_it_exists(server, method, path):
    key = server.keys("add", workspace="theirs").stdout.strip()
    wait_for(lambda: opens(server, key))
    there = server.request(method, path % "theirs", json={"data": []})
    absent = server.request(method, path % "nobody", json={"data": []})
    assert there.status_code == absent.status_code == 401
    assert there.content == absent.content
    assert f"'{server.workspace}'" in there.json()["error"]
    assert server.request(method, path % "theirs", json={"data": []}, key=key).ok
