"""GET and PUT /api/v1/:workspace/picture-capture, and what a stock inference server is told of it (protocol 3.6)."""
import random

import pytest

from workspaces import other_key

URL = "/api/v1/test/picture-capture"


def put(server, *rules, status=200):
    answer = server.put(URL, json={"rules": list(rules)})
    assert answer.status_code == status, answer.text
    return answer.json()


def rule(model="", share=1, below_confidence=None, per_hour=None):
    return {"model": model, "share": share, "below_confidence": below_confidence, "per_hour": per_hour}


def asked(server, dataset="coco", workspace="test", key=None, status=200):
    """The call as the server makes it."""
    answer = server.get(f"/{workspace}/{dataset}/active_learning", anonymous=True, params={"api_key": key or server.key},
                        headers={"X-Roboflow-Inference-Version": "1.5.0", "X-Allow-Chunked": "true"})
    assert answer.status_code == status, answer.text
    return answer.json()


class Config:
    """Reads the answer as a container's parser does: what it subscripts has to be there, what it gets may be absent, values
    of enumerations have to be members of them."""

    def __init__(self, raw):
        self.enabled = raw.get("enabled", False)
        if not self.enabled:
            return
        self.strategies = {}
        for s in raw["sampling_strategies"]:
            assert s["type"] in ("random", "close_to_threshold", "classes_based", "detections_number_based")
            assert s["name"] not in self.strategies
            if s["type"] == "random":
                share, test = s["traffic_percentage"], lambda confidences: True
            else:
                share, threshold, epsilon, least = s["probability"], s["threshold"], s["epsilon"], s.get("minimum_objects_close_to_threshold", 1)
                test = lambda confidences: sum(abs(c - threshold) < epsilon for c in confidences) >= least
            limits = [(limit["type"], limit["value"]) for limit in s.get("limits", [])]
            assert all(kind in ("minutely", "hourly", "daily") and isinstance(n, int) for kind, n in limits)
            self.strategies[s["name"]] = (share, test, limits, s.get("tags", []))
        size = raw.get("max_image_size")
        assert size is None or len(size) == 2
        assert isinstance(raw["persist_predictions"], bool) and 0 <= raw.get("jpeg_compression_level", 95) <= 100
        assert isinstance(raw["batching_strategy"]["batches_name_prefix"], str) and raw.get("tags", []) == []
        assert raw["batching_strategy"]["recreation_interval"] in ("never", "daily", "weekly", "monthly")
        # A limit of images of a batch would make it ask for labeling batches before each upload.
        assert raw["batching_strategy"].get("max_batch_images") is None
        assert "target_workspace" not in raw and "target_project" not in raw

    def takes(self, *confidences):
        return any(test(confidences) and random.random() < share for share, test, _, _ in self.strategies.values())


def test_off_until_it_is_set(make_server):
    server = make_server()
    assert server.get(URL).json() == {"rules": []}
    assert asked(server) == {"enabled": False}
    mine = [rule("coco", 0.25, 0.5, 60), rule("", 1)]
    assert put(server, *mine) == {"rules": mine} == server.get(URL).json()
    server.restart()
    assert server.get(URL).json() == {"rules": mine}
    assert asked(server)["enabled"] is True
    assert put(server) == {"rules": []} and asked(server) == {"enabled": False}


def test_what_a_server_reads(server):
    put(server, rule("coco", 1, 0.5, 60), rule("bottles", 0.25), rule("quiet", 0, 0.5), rule("Ä ?"))
    sure = Config(asked(server))
    assert sure.enabled and sure.takes(0.49, 0.9) and not sure.takes(0.5, 0.9) and not sure.takes()
    assert [limits for _, _, limits, _ in sure.strategies.values()] == [[("hourly", 60)]]
    some = Config(asked(server, "bottles"))
    random.seed(1)
    assert 200 < sum(some.takes(0.9) for _ in range(1000)) < 300
    assert [limits for _, _, limits, _ in some.strategies.values()] == [[]]
    assert Config(asked(server, "%C3%84%20%3F")).enabled
    assert asked(server, "quiet") == asked(server, "other") == asked(server, "coco2") == {"enabled": False}
    put(server, rule("", 1), rule("quiet", 0))
    assert Config(asked(server, "other")).takes() and asked(server, "quiet") == {"enabled": False}


def test_the_calls_of_the_recorded_trio(server):
    """GET / -> the workspace, GET the dataset -> its type, GET the rules."""
    put(server, rule("", 1))
    at = {"api_key": server.key, "nocache": "true"}
    workspace = server.get("/", anonymous=True, params=at).json()["workspace"]
    assert server.get(f"/{workspace}/coco", anonymous=True, params=at).json()["project"]["type"] == "object-detection"
    assert Config(asked(server, "coco", workspace)).enabled


def test_a_workspace_has_its_own(make_server):
    server = make_server()
    other = other_key(server)
    put(server, rule())
    assert server.get("/api/v1/other/picture-capture", key=other).json() == {"rules": []}
    assert asked(server, workspace="other", key=other) == {"enabled": False}
    assert server.put("/api/v1/other/picture-capture", json={"rules": []}).status_code == 401
    asked(server, workspace="other", status=401)
    asked(server, key="nobodyskey", status=401)


def test_who_set_it_is_told(make_server):
    server = make_server()
    put(server, rule("coco", 0.1, 0.5, 60), rule("", 0.01))
    entry = server.get("/api/v1/test/activity").json()["activity"][0]
    assert (entry["action"], entry["subject"], entry["by"]) == ("setting", "picture-capture", "api_key setting")
    assert entry["detail"] == "coco 0.1 below 0.5 at most 60 an hour, all others 0.01"


def test_limits(server):
    assert len(put(server, *[rule(f"{n:0256}") for n in range(100)])["rules"]) == 100
    assert put(server, *[rule(str(n)) for n in range(101)], status=400)["error"] == "rules has 101 rules, the most is 100"
    assert put(server, rule("m" * 257), status=400)["error"] == "rules[0].model has 257 bytes, the most is 256"
    assert put(server, rule(per_hour=1000000, below_confidence=0.001))["rules"][0]["per_hour"] == 1000000


@pytest.mark.parametrize("change, error", [
    ({"model": "coco/3"}, "rules[0].model: a rule is for all versions"), ({"model": 1}, "rules[0].model must be a string"),
    ({"share": None}, "rules[0].share must be a number"), ({"share": 1.01}, "rules[0].share must be"), ({"share": -0.1}, "rules[0].share must be"),
    ({"below_confidence": 0}, "rules[0].below_confidence must be"), ({"below_confidence": "x"}, "rules[0].below_confidence must be"),
    ({"per_hour": 0}, "rules[0].per_hour must be"), ({"per_hour": 1.5}, "rules[0].per_hour must be"), ({"per_hour": 1000001}, "rules[0].per_hour must be"),
    ({"percent": 1}, "rules[0].percent: a rule has"),
])
def test_a_wrong_rule(server, change, error):
    put(server, rule("before"))
    assert put(server, {**rule(), **change}, status=400)["error"].startswith(error)
    assert server.get(URL).json() == {"rules": [rule("before")]}


@pytest.mark.parametrize("body", [{}, {"rules": {}}, {"rules": [1]}, {"rules": [], "more": 1}, [], None])
def test_a_wrong_body(server, body):
    assert server.put(URL, json=body).status_code == 400


def test_a_model_twice(server):
    assert put(server, rule("a"), rule("a", 0.5), status=400)["error"] == "rules[1].model is that of rules[0] too"
