"""GET and PUT /api/v1/:workspace/shifts."""
import pytest

from workspaces import other_key

EARLY = {"name": "early", "from": "06:00", "to": "14:00", "days": [1, 2, 3, 4, 5]}
USUAL = {"zone": "", "shifts": [{"name": name, "from": start, "to": end, "days": [1, 2, 3, 4, 5, 6, 7]}
                                for name, start, end in (("early", "06:00", "14:00"), ("late", "14:00", "22:00"), ("night", "22:00", "06:00"))]}
URL = "/api/v1/test/shifts"


def put(server, body, status=200):
    answer = server.put(URL, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_usual_ones_until_they_are_set_then_those_also_after_a_restart(make_server):
    server = make_server()
    assert server.get(URL).json() == USUAL
    mine = {"zone": "Europe/Berlin", "shifts": [EARLY, {"name": "night ü <b>", "from": "22:15", "to": "05:59", "days": [7]}]}
    assert put(server, mine) == mine == server.get(URL).json()
    server.restart()
    assert server.get(URL).json() == mine
    assert put(server, {"shifts": []}) == {"zone": "", "shifts": []} == server.get(URL).json()
    assert put(server, {"zone": None, "shifts": [{**EARLY, "days": [5, 1]}]})["shifts"][0]["days"] == [1, 5]


def test_a_workspace_has_its_own(make_server):
    server = make_server()
    other = other_key(server)
    put(server, {"zone": "UTC", "shifts": []})
    assert server.get("/api/v1/other/shifts", key=other).json() == USUAL
    assert server.put("/api/v1/other/shifts", json={"shifts": []}).status_code == 401
    assert server.get("/api/v1/other/shifts", key=other).json() == USUAL


def test_limits(server):
    shift = lambda n: {**EARLY, "name": f"{n:0256}"}
    assert len(put(server, {"zone": "A" * 64, "shifts": [shift(n) for n in range(24)]})["shifts"]) == 24
    assert put(server, {"shifts": [shift(n) for n in range(25)]}, 400)["error"] == "shifts has 25 shifts, the most is 24"
    assert put(server, {"shifts": [{**EARLY, "name": "n" * 257}]}, 400)["error"] == "shifts[0].name has 257 bytes, the most is 256"
    assert put(server, {"zone": "A" * 65, "shifts": []}, 400)["error"] == "zone has 65 bytes, the most is 64"


@pytest.mark.parametrize("change, error", [
    ({"name": ""}, "shifts[0].name is empty"), ({"name": None}, "shifts[0].name is missing"), ({"name": 1}, "shifts[0].name must be a string"),
    ({"name": "a\nb"}, "shifts[0].name has a control character"), ({"from": "6:00"}, "shifts[0].from must be a time"),
    ({"from": "24:00"}, "shifts[0].from must be a time"), ({"to": "12:60"}, "shifts[0].to must be a time"), ({"to": "1200"}, "shifts[0].to must be a time"),
    ({"days": []}, "shifts[0].days must be a list"), ({"days": 5}, "shifts[0].days must be a list"), ({"days": [0]}, "shifts[0].days[0]"),
    ({"days": [1, 8]}, "shifts[0].days[1]"), ({"days": [1, 1]}, "shifts[0].days[1]"), ({"days": ["1"]}, "shifts[0].days[0]"), ({"days": [1.5]}, "shifts[0].days[0]"),
    ({"more": 1}, "shifts[0].more"),
])
def test_a_shift_that_is_none(server, change, error):
    assert put(server, {"shifts": [{**EARLY, **change}]}, 400)["error"].startswith(error)


@pytest.mark.parametrize("body, error", [
    ({}, "shifts must be a list"), ({"shifts": {}}, "shifts must be a list"), ({"shifts": ["x"]}, "shifts[0] must be an object"), ([], "the body must be"),
    ({"shifts": [EARLY, EARLY]}, "shifts[1].name is that of shifts[0]"), ({"shifts": [], "nonsense": 1}, 'unknown member "nonsense"'),
    ({"shifts": [], "zone": "Europe/<b>"}, "zone must be a name"), ({"shifts": [], "zone": "../etc"}, "zone must be a name"), ({"shifts": [], "zone": 1}, "zone must be a string"),
])
def test_a_body_that_is_none(server, body, error):
    before = server.get(URL).json()
    assert put(server, body, 400)["error"].startswith(error)
    assert server.get(URL).json() == before
    assert server.put(URL, data=b'{"shifts":[],"shifts":[]}').status_code == server.put(URL, data=b"{").status_code == 400
