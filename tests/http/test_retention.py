"""GET and PUT /api/v1/:workspace/retention; tests/unit/test_retention.c sees what it drops."""
import pytest
from workspaces import other_key

URL = "/api/v1/test/retention"


def test_the_servers_until_it_is_set(make_server):
    server = make_server(retention_days=30)
    other = other_key(server)
    assert server.get(URL).json() == {"days": None, "server_days": 30}
    for days in (36500, 1, 0, 7):
        assert server.put(URL, json={"days": days}).json() == {"days": days, "server_days": 30}
    server.restart()
    assert server.get(URL).json() == {"days": 7, "server_days": 30}
    assert server.get("/api/v1/other/retention", key=other).json() == {"days": None, "server_days": 30}
    assert server.put(URL, json={"days": None}).json() == {"days": None, "server_days": 30}
    assert server.get(URL).json() == {"days": None, "server_days": 30}
    told = [(x["subject"], x["detail"]) for x in server.get("/api/v1/test/activity").json()["activity"] if x["action"] == "setting"]
    assert told == [("retention", "the server's"), ("retention", "7 days"), ("retention", "for ever"), ("retention", "1 day"), ("retention", "36500 days")]


@pytest.mark.parametrize("body", [{}, {"days": -1}, {"days": 36501}, {"days": 1.5}, {"days": "7"}, {"days": True}, {"days": 10 ** 30}, {"days": 7, "more": 1}])
def test_what_is_no_number_of_days(server, body):
    answer = server.put(URL, json=body)
    assert answer.status_code == 400 and ("days" in answer.json()["error"] or "more" in answer.json()["error"] or "JSON" in answer.json()["error"])
    assert server.get(URL).json() == {"days": None, "server_days": 0}
