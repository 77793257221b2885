"""A platform on 127.0.0.1 for the tests of what is passed on to it.

.seen has every request as (method, target, headers, body), target and headers byte for byte; .answers maps a path to
(status, headers, body) or to a function of the handler. Unknown paths are 404 {"error": "not at the platform"}.
"""
import http.server
import ssl
import threading

from conftest import TOP

CERTIFICATE, KEY = TOP / "tests/data/tls/localhost.pem", TOP / "tests/data/tls/localhost.key"


class Platform(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls=False, host="127.0.0.1"):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(handler):
                body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
                self.seen.append((handler.command, handler.path, handler.headers.items(), body))
                answer = self.answers.get(handler.path.split("?")[0], (404, {}, b'{"error": "not at the platform"}'))
                if callable(answer):
                    handler.close_connection = True
                    return answer(handler)
                status, headers, body = answer
                handler.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
                    if value is not None:
                        handler.send_header(name, value)
                handler.end_headers()
                if handler.command != "HEAD":
                    handler.wfile.write(body)

            do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = handle_any

            def log_message(handler, *args):
                pass
        super().__init__((host, 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE, KEY)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.tls, self.seen, self.answers, self.port = tls, [], {}, self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    def calls(self):
        return [(method, target) for method, target, _, _ in self.seen]

    def handle_error(self, *args):  # clients that hang up, on purpose
        pass

    def close(self):
        self.shutdown()
        self.server_close()
