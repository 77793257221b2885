"""The servers of tests/http, for the tests here: make_server and what it makes."""
import importlib.util
import pathlib
import sys

_path = pathlib.Path(__file__).resolve().parents[1] / "http" / "conftest.py"
_spec = importlib.util.spec_from_file_location("http_server", _path)
http_server = sys.modules["http_server"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(http_server)

make_server = http_server.make_server
pytest_configure = http_server.pytest_configure
pytest_runtest_makereport = http_server.pytest_runtest_makereport
