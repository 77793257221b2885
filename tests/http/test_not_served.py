"""What inference servers and the platform do and this program doesn't: told in the shape that the caller reads, with a status
that nobody sends again, and counted."""
import pytest
from conftest import KEY
from pingbacks import pingback

MESSAGE = [("POST", "/workflows/run", "Workflows"), ("POST", "/infer/workflows", "Workflows"), ("POST", "/infer/workflows/acme/count", "Workflows"),
           ("POST", "/acme/workflows/count", "Workflows"), ("POST", "/workflows/describe_interface", "Workflows"), ("GET", "/workflows/blocks/describe", "blocks"),
           ("POST", "/clip/embed_image", "CLIP"), ("POST", "/clip/embed_text", "CLIP"), ("POST", "/clip/compare", "CLIP"),
           ("POST", "/doctr/ocr", "DocTR"), ("POST", "/easy_ocr/ocr", "EasyOCR"), ("POST", "/ocr/trocr", "OCR"), ("POST", "/ocr/pp-ocr", "OCR"),
           ("POST", "/sam/embed_image", "Segment Anything"), ("POST", "/sam2/segment_image", "Segment Anything 2"), ("POST", "/sam3/concept_segment", "Segment Anything 3"),
           ("POST", "/yolo_world/infer", "YOLO-World"), ("POST", "/owlv2/infer", "OWLv2"), ("POST", "/infer/lmm", "Language models"), ("POST", "/infer/lmm/qwen", "Language models"),
           ("POST", "/infer/depth-estimation", "depth-estimation"), ("GET", "/inference_pipelines/list", "pipelines"), ("POST", "/inference_pipelines/initialise", "pipelines"),
           ("GET", "/inference_pipelines/x/consume", "pipelines"), ("GET", "/notebook/start", "notebook")]
ERROR = [("GET", "/webrtc_plans", "WebRTC"), ("POST", "/vision-events", "Vision Events"), ("POST", "/vision-events/batch", "Vision Events"),
         ("GET", "/vision-events/use-cases", "Vision Events"), ("PUT", "/vision-events/use-cases/7", "Vision Events")]


@pytest.mark.parametrize("method, path, word", MESSAGE, ids=[" ".join(m[:2]) for m in MESSAGE])
def test_of_inference_servers(server, method, path, word):
    for more in ({"json": {"api_key": None, "inputs": {}}}, {"data": b"\xff\xd8", "headers": {"Content-Type": "image/jpeg"}}):
        answer = server.request(method, path, anonymous=True, **more)
        assert answer.status_code == 501 and word in answer.json()["message"] and answer.reason == "Not Implemented"
        assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("method, path, word", ERROR, ids=[" ".join(m[:2]) for m in ERROR])
def test_of_the_platform(server, method, path, word):
    answer = server.request(method, path)
    assert answer.status_code == 501 and set(answer.json()) == {"error"} and word in answer.json()["error"]


def test_gaze_is_gone(server):
    answer = server.post("/gaze/gaze_detection", json={})
    assert answer.status_code == 410 and answer.json()["error_type"] == "FeatureDeprecatedError" and "Gaze" in answer.json()["message"]


def test_what_a_plain_server_answers(server):
    assert server.get("/clear_cache").json() == "Cache Cleared"
    assert (server.get("/device/stats").status_code, set(server.get("/device/stats").json())) == (404, {"error", "hint"})
    assert (server.get("/logs?limit=5").status_code, server.get("/logs").json()) == (404, {"detail": "Logs endpoint not available"})


def test_start(server):
    answer = server.get(f"/start/coco/24?api_key={KEY}", anonymous=True)
    assert answer.status_code == 200 and answer.json() == {"status": 200, "message": "inference session started from local memory."}
    assert "coco/24" in [m["model_id"] for m in server.get("/model/registry").json()["models"]]
    assert server.get("/start/nobody/1").status_code == 404 and server.get("/start/coco/24", anonymous=True).status_code == 401


def counted(server):
    [device] = [d for d in server.get(f"/api/v1/{server.workspace}/devices").json()["devices"] if d["device_id"] == "edge-7"]
    return {(u["path"], u["user_agent"]): (u["status"], u["count"]) for u in device["unserved"]}


def test_counted_whichever_way_the_key_comes(make_server):
    s = make_server()
    assert s.post("/inference-stats", json=pingback(s.key, [])).status_code == 200
    agent = {"User-Agent": "a"}
    image = {"type": "base64", "value": "x" * 3_000_000}
    s.post(f"/clip/a?api_key={s.key}", anonymous=True, json={}, headers=agent)
    s.post("/clip/b", json={}, headers=agent)
    s.post("/clip/c", anonymous=True, json={"image": image, "api_key": s.key}, headers=agent)
    for body in ({"api_key": None}, {"api_key": "None"}, {"api_key": "unknown"}, {"api_key": 7}, [1], {}):
        s.post("/clip/d", anonymous=True, json=body, headers=agent)
    s.post("/clip/e?api_key=unknown", anonymous=True, json={"api_key": s.key}, headers=agent)  # the first that is there decides
    assert counted(s) == {(f"/clip/{x}", "a"): (501, 1) for x in "abc"}


def test_without_a_key_where_inference_needs_none(make_server):
    s = make_server(open_inference="test")
    assert s.post("/inference-stats", json=pingback(s.key, [])).status_code == 200
    s.post("/clip/a?api_key=None", anonymous=True, json={"api_key": None})
    s.post("/clip/b", anonymous=True, json={"api_key": "unknown"})
    assert [path for path, _ in counted(s)] == ["/clip/a"]
