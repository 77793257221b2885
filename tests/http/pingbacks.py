"""What inference servers send, as recorded in protocol.md 3.2: bodies, and the headers of the requests around them."""
import json
import uuid

from client import REQUESTS_HEADERS as HEADERS
from client import exchange

START = "1795289947"
TIME = 1795289947.938782


def system(**more):
    return {"platform": "Linux", "platform_release": "6.1.0", "platform_version": "#1 SMP", "architecture": "x86_64", "hostname": "vm",
            "ip_address": "10.0.0.7", "mac_address": "02:fc:00:00:00:01", "processor": "", **more}


def pingback(key, items, **more):
    return {"api_key": key, "timestamp": START, "device_id": "edge-7", "inference_server_id": "srv-abc123", "inference_server_version": "1.5.0",
            "tags": ["line-1", "plant-a"], **system(), "inference_results": items, **more}


def item(response, key=None, time=TIME, model="coco/24", inference_id=None, **request):
    return {"request_time": time, "inference": {
        "inference_id": inference_id or str(uuid.uuid4()), "inference_server_version": "1.5.0", "inference_server_id": "srv-abc123",
        "request": {"api_key": key, "source": "external", "source_info": "cam-1", "model_id": model, "model_type": None, "confidence": 0.4,
                    **request},
        "response": response}}


def thin(*predictions, time=0.0123):
    """`response` of one picture: (class, confidence) ..."""
    return [{"predictions": [{"class": c, "confidence": p} for c, p in predictions], "time": time}]


def post(server, body, target="/inference-stats", headers=HEADERS, more="Content-Type: application/json\n"):
    """Sends it as a container does, on a bare connection; (status, answer)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, _, _, answer = exchange(server, f"POST {target}", headers + f"Content-Length: {len(data)}\n" + more, data)
    return status, json.loads(answer)
