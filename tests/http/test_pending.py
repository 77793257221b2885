"""GET /api/v1/:workspace/pending: what waits for its inference."""
import pytest
from workspaces import other_key

URL = "/api/v1/test/pending"
AGES = [60, 600, 3600, 86400, 604800, None]


def put(server, inference_id, name, value, **more):
    assert server.put(f"/api/v1/test/inferences/{inference_id}/metadata/{name}", json={"value": value}, **more).status_code == 200


def test_the_oldest_first_until_their_inference_comes(make_server):
    server = make_server()
    other = other_key(server)
    nothing = server.get(URL).json()
    assert nothing == {"ids": 0, "ages": [{"up_to_s": s, "ids": 0} for s in AGES], "pending": [], "as_of": nothing["as_of"]}
    for n in range(12):
        put(server, f"i{n:02}", "n", n)
        put(server, f"i{n:02}", "name", "<b>")
    put(server, "i03", "n", "three")
    server.delete("/api/v1/test/inferences/i03/metadata/name")
    got = server.get(URL).json()
    assert got["ids"] == 12 and [a["up_to_s"] for a in got["ages"]] == AGES and sum(a["ids"] for a in got["ages"]) == 12
    assert [p["inference_id"] for p in got["pending"]] == [f"i{n:02}" for n in range(12)]
    assert [p["since"] for p in got["pending"]] == sorted(p["since"] for p in got["pending"])
    assert got["pending"][3]["metadata"] == {"n": "three"} and got["pending"][4]["metadata"] == {"n": 4, "name": "<b>"}
    assert got["pending"][0]["since"] == server.get("/api/v1/test/fields").json()["pending"]["oldest"]
    assert [p["inference_id"] for p in server.get(URL, params={"limit": 3}).json()["pending"]] == ["i00", "i01", "i02"]
    assert server.get("/api/v1/other/pending", key=other).json()["ids"] == 0
    assert server.post("/api/v1/test/inferences", json={"inference_id": "i00", "model_id": "m/1", "predictions": []}).status_code == 200
    after = server.get(URL).json()
    assert after["ids"] == 11 and after["pending"][0]["inference_id"] == "i01"
    server.restart()
    assert server.get(URL).json()["pending"] == after["pending"]


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"nonsense": 1}])
def test_a_parameter_that_is_wrong(server, wrong):
    assert server.get(URL, params=wrong).status_code == 400
