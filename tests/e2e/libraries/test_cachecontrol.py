# SPDX-License-Identifier: MIT
"""Debian's python3-cachecontrol: pages that requests has fetched stay in kvd
for as long as their headers say."""

import http.server
import threading
import unittest

from cachecontrol import CacheControl
from cachecontrol.caches.redis_cache import RedisCache
from cachecontrol.heuristics import ExpiresAfter
import requests

from harness import E2eTest


class Site(http.server.BaseHTTPRequestHandler):
    """Counts how often it is asked."""

    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        etag = '"7"'
        fresh = self.headers.get("If-None-Match") == etag
        body = b"" if fresh else b"page of " + self.path.encode()
        self.send_response(304 if fresh else 200)
        if self.path == "/hour":
            self.send_header("Cache-Control", "max-age=3600")
        if self.path == "/etag":
            self.send_header("ETag", etag)
        if self.path == "/secret":
            self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Pages(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()
        del Site.asked[:]
        server = http.server.HTTPServer(("127.0.0.1", 0), Site)
        self.addCleanup(server.server_close)
        self.site = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever,
                                  kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)

    def session(self, **options):
        plain = requests.Session()
        plain.trust_env = False  # No proxy.
        session = CacheControl(plain, cache=RedisCache(self.kvd.client()),
                               **options)
        self.addCleanup(session.close)
        return session

    def read(self, session, path):
        response = session.get(self.site + path)
        self.assertEqual(response.text, f"page of {path}")
        return response.from_cache

    def test_a_page_with_an_age(self):
        session = self.session()
        self.assertFalse(self.read(session, "/hour"))
        self.assertTrue(self.read(session, "/hour"))
        self.kvd.kill()
        self.kvd.start()
        self.assertTrue(self.read(self.session(), "/hour"))
        self.assertEqual(Site.asked, ["/hour"])
        db = self.kvd.client()
        (key,) = db.keys()
        self.assertIn(db.ttl(key), range(1, 3601))

    def test_a_page_that_is_asked_about_again(self):
        session = self.session()
        self.assertEqual([self.read(session, "/etag") for _ in range(2)],
                         [False, True])
        self.assertEqual(Site.asked, ["/etag"] * 2)

    def test_what_is_not_kept_and_what_somebody_wants_kept(self):
        session = self.session()
        for _ in range(2):
            self.assertFalse(self.read(session, "/secret"))
        self.assertEqual(self.kvd.call("DBSIZE"), 0)
        session = self.session(heuristic=ExpiresAfter(hours=1))
        self.assertEqual([self.read(session, "/plain") for _ in range(2)],
                         [False, True])

    def test_forgetting(self):
        session = self.session()
        self.read(session, "/hour")
        RedisCache(self.kvd.client()).clear()
        self.assertEqual(self.kvd.call("DBSIZE"), 0)
        self.assertFalse(self.read(session, "/hour"))


if __name__ == "__main__":
    unittest.main()
