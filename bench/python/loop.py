"""Requests to a WSGI application with sessions of the Python library, in process.

A line on standard input asks for a round: "read SECONDS" or "write SECONDS". The answer is requests a second.
"""

import sys
import time

import obsession

SESSIONS = int(sys.argv[1])
VALUES = {f"key-{n}": f"a value of {n:05}" for n in range(10)}


def make(environ, start_response):
    session = environ["ob.session"]
    for key, value in VALUES.items():
        session[key] = value
    start_response("200 OK", [])
    return [b""]


def read(environ, start_response):
    value = environ["ob.session"]["key-3"]
    start_response("200 OK", [])
    return [value.encode()]


def write(environ, start_response):
    session = environ["ob.session"]
    value = session["key-3"]
    session["key-3"] = f"a value of {environ['n']:05}"
    start_response("200 OK", [])
    return [value.encode()]


backend = obsession.MemoryBackend(size=SESSIONS + 1)
base = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}


def call(application, environ):
    """What a server does: the head, the body, the end."""
    head = []

    def start_response(status, headers, exc_info=None):
        head.append((status, headers))

    content = application(environ, start_response)
    body = b"".join(content)
    content.close()
    return head[0], body


def cookies():
    application = obsession.SessionMiddleware(make, backend=backend)
    lines = []
    for _ in range(SESSIONS):
        (_, headers), _ = call(application, dict(base))
        lines.append(headers[0][1].split(";")[0])
    return lines


def measure(application, lines, seconds):
    at = done = 0
    began = time.perf_counter()
    until = began + seconds
    while True:
        at = (at + 7919) % len(lines)
        done += 1
        (status, _), body = call(application, {**base, "HTTP_COOKIE": lines[at], "n": done % 100000})
        if status != "200 OK" or not body.startswith(b"a value of"):
            sys.exit(f"{status}: {body}")
        # A look at the clock costs as little as it may.
        if done % 64 == 0:
            now = time.perf_counter()
            if now >= until:
                return done / (now - began)


applications = {
    "read": obsession.SessionMiddleware(read, backend=backend),
    "write": obsession.SessionMiddleware(write, backend=backend),
}
lines = cookies()
print("ready", sys.version.split()[0], flush=True)
for line in sys.stdin:
    kind, seconds = line.split()
    print(measure(applications[kind], lines, float(seconds)), flush=True)
