"""A small service for tests: python shop_service.py PORT [how]

It answers /health with what it was given. `how`: unready (503 for ever), deaf (ignores SIGTERM), once (ends after
the ready check was answered), crash (ends at once), daemon (leaves a daemon behind, which ignores SIGTERM).
"""

import http.server
import json
import os
import signal
import sys


def main() -> None:
    port, how = int(sys.argv[1]), (sys.argv[2:] or ["fine"])[0]
    print(f"shop: {how} on {port}, token {os.environ.get('SHOP_TOKEN')}", flush=True)
    if how == "crash":
        sys.exit("shop: \x1b[31mno module named till")
    if how == "background":
        sys.exit(0)
    if how in ("deaf", "daemon"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if how == "daemon" and os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        with open("daemon.pid", "w") as file:
            file.write(str(os.getpid()))
        signal.pause()

    class Shop(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"pid": os.getpid(), "argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd()}
            body = json.dumps(known).encode()
            self.send_response(503 if how == "unready" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", port), Shop) as server:
        if how == "once":
            server.handle_request()
            print("shop: sold out", flush=True)
        else:
            server.serve_forever(poll_interval=0.05)


main()
