"""A small service for tests: python shop_service.py PORT [how]

It answers everything with what it was given, and ends after a request for /end. `how`: unready (503 for ever), deaf
(ignores SIGTERM), crash (ends at once), background (ends at once, too, as if all were well), daemon (deaf, and leaves
a daemon behind that is deaf, too).
"""

import http.server
import json
import os
import signal
import sys
from pathlib import Path


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
        Path("daemon.pid").write_text(str(os.getpid()))
        signal.pause()

    class Shop(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"pid": os.getpid(), "argv": sys.argv, "env": dict(os.environ), "cwd": str(Path.cwd())}
            body = json.dumps(known).encode()
            self.send_response(503 if how == "unready" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            if self.path == "/end":
                print("shop: sold out", flush=True)
                sys.exit()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", port), Shop) as server:
        server.serve_forever(poll_interval=0.05)


main()
