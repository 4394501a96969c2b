# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what Alertmanager posts, and the header that it comes with: listener PORT FILE [CERTIFICATE KEY]."""

import json
import os
import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

PORT, FILE, *TLS = sys.argv[1:]


class Listener(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = {"path": self.path, "authorization": self.headers["Authorization"], "alerts": body["alerts"]}
        with open(f"{FILE}.new", "w", encoding="utf-8") as file:
            json.dump(told, file)
        os.rename(f"{FILE}.new", FILE)
        self.send_response(200)
        self.end_headers()


server = HTTPServer(("127.0.0.1", int(PORT)), Listener)
if TLS:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*TLS)
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
