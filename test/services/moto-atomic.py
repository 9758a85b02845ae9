"""Runs moto's server so that each request takes effect at once, as with S3: moto by itself handles some at the same time, and
then lets two of racing writers with a condition win. Arguments: the port of 127.0.0.1.
"""

import io
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

moto = DomainDispatcherApplication(create_backend_app)
one_at_a_time = threading.Lock()


def atomic(environ, start_response):
    # Before its turn, so that a client that sends slowly holds up nobody else.
    if environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read()
    else:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    with one_at_a_time:
        return list(moto(environ, start_response))


run_simple("127.0.0.1", int(sys.argv[1]), atomic, threaded=True)
