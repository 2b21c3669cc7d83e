# SPDX-License-Identifier: MIT
"""Debian's python3-beaker: caches and sessions of WSGI applications."""

import threading
import unittest

from beaker.cache import CacheManager
from beaker.middleware import SessionMiddleware

from harness import E2eTest


def greeting(environ, start_response):
    """Counts how often a visitor has come."""
    session = environ["beaker.session"]
    if environ["PATH_INFO"] == "/leave":
        session.delete()
    else:
        session["visits"] = session.get("visits", 0) + 1
        session.save()
    start_response("200 OK", [])
    return [str(session.get("visits")).encode()]


class Beaker(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()
        self.url = f"unix://{self.kvd.socket_path}"
        self.db = self.kvd.client()

    def test_a_cache(self):
        cache = CacheManager(type="ext:redis", url=self.url,
                             expire=600).get_cache("prices")
        self.assertEqual(cache.get(key="tea", createfunc=lambda: 3), 3)
        self.assertEqual(cache.get(key="tea", createfunc=self.fail), 3)
        cache["ink"] = {"price": 5}
        self.assertEqual(cache["ink"], {"price": 5})
        self.assertTrue(cache.has_key("ink"))
        self.assertEqual(self.db.ttl("beaker_cache:prices:tea") > 500, True)
        cache.remove_value("tea")
        with self.assertRaises(KeyError):
            cache["tea"]
        cache.clear()
        self.assertEqual(self.db.keys("beaker_cache:*"), [])

    def test_many_threads_compute_once(self):
        manager = CacheManager(type="ext:redis", url=self.url, expire=600)
        calls = []

        def compute():
            calls.append(1)
            return "computed"

        def ask():
            self.assertEqual(manager.get_cache("slow").get(
                key="a", createfunc=compute), "computed")

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(calls, [1])
        # Its locks are gone; they are released with WATCH.
        self.assertEqual(self.db.keys("beaker_lock:*"), [])

    def visit(self, path="/", cookie=""):
        """What the application says, and the visitor's cookie."""
        application = SessionMiddleware(greeting, {
            "session.type": "ext:redis", "session.url": self.url,
            "session.timeout": 3600})
        headers = {}
        body = application(
            {"PATH_INFO": path, "HTTP_COOKIE": cookie},
            lambda status, pairs, exc_info=None: headers.update(pairs))
        return b"".join(body), headers.get("Set-cookie", "").split(";")[0]

    def test_sessions(self):
        said, ann = self.visit()
        self.assertEqual(said, b"1")
        self.assertEqual(self.visit(cookie=ann)[0], b"2")
        self.assertEqual(self.visit()[0], b"1")
        self.kvd.kill()
        self.kvd.start()
        self.assertEqual(self.visit(cookie=ann)[0], b"3")
        self.visit("/leave", cookie=ann)
        self.assertEqual(self.visit(cookie=ann)[0], b"1")


if __name__ == "__main__":
    unittest.main()
