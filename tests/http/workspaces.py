"""A second workspace beside that of a test."""
from conftest import wait_for

OTHER = "sg_other0123456789abcdefghijklmnop"


def other_key(server, workspace="other"):
    """The key of a workspace that is made for it."""
    made = server.keys("add", "--stdin", "--name", "others", stdin=OTHER + "\n", workspace=workspace)
    assert made.returncode == 0, made.stderr
    wait_for(lambda: server.get(f"/api/v1/{workspace}/inferences", key=OTHER).status_code == 200)
    return OTHER
