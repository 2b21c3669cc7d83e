# SPDX-License-Identifier: MIT
"""Flask with its cache and sessions in kvd: Debian's python3-flask-caching,
python3-cachelib and python3-flask-session."""

import unittest

from cachelib import RedisCache
from flask import Flask, request, session
from flask_caching import Cache
from flask_session import Session

from harness import E2eTest


def shop(kvd):
    """A small application; the Cache, and what its views computed."""
    app = Flask("shop")
    app.config.update(
        CACHE_TYPE="RedisCache", CACHE_KEY_PREFIX="shop:",
        CACHE_REDIS_URL=f"unix://{kvd.socket_path}",
        SESSION_TYPE="redis", SESSION_REDIS=kvd.client(db=1),
        SESSION_USE_SIGNER=True, SECRET_KEY="only for tests")
    cache = Cache(app)
    Session(app)
    computed = []

    @app.get("/price")
    @cache.cached(timeout=60, query_string=True)
    def price():
        computed.append(request.args["of"])
        return f"price {len(computed)}"

    @cache.memoize(timeout=60)
    def tax(amount, rate=19):
        computed.append((amount, rate))
        return amount * rate / 100

    @app.get("/tax/<int:amount>")
    def show_tax(amount):
        return str(tax(amount))

    @app.post("/rates")
    def new_rates():
        cache.delete_memoized(tax)
        return ""

    @app.post("/login/<name>")
    def login(name):
        session["name"] = name
        return ""

    @app.post("/logout")
    def logout():
        session.clear()
        return ""

    @app.get("/")
    def greet():
        return f"hello {session.get('name', 'stranger')}"

    return app, cache, computed


class FlaskDay(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()
        self.app, self.cache, self.computed = shop(self.kvd)

    def test_a_view(self):
        client = self.app.test_client()
        for _ in range(3):
            self.assertEqual(client.get("/price?of=tea").text, "price 1")
        self.assertEqual(client.get("/price?of=ink").text, "price 2")
        self.cache.clear()
        self.assertEqual(client.get("/price?of=tea").text, "price 3")

    def test_a_function(self):
        client = self.app.test_client()
        for amount in (100, 200, 100, 200):
            self.assertEqual(float(client.get(f"/tax/{amount}").text),
                             amount * 0.19)
        self.assertEqual(self.computed, [(100, 19), (200, 19)])
        client.post("/rates")
        client.get("/tax/100")
        self.assertEqual(len(self.computed), 3)

    def test_sessions(self):
        ann, bob = self.app.test_client(), self.app.test_client()
        ann.post("/login/ann")
        self.assertEqual(ann.get("/").text, "hello ann")
        self.assertEqual(bob.get("/").text, "hello stranger")
        self.kvd.kill()
        self.kvd.start()
        self.assertEqual(ann.get("/").text, "hello ann")
        db = self.kvd.client(db=1)
        days_31 = 31 * 24 * 60 * 60
        self.assertEqual({db.ttl(key) > days_31 - 1000 for key in db.keys()},
                         {True})
        ann.post("/logout")
        self.assertEqual(ann.get("/").text, "hello stranger")

    def test_the_cache_by_hand(self):
        self.use(self.cache)

    def test_cachelib_alone(self):
        cache = RedisCache(host=self.kvd.client(), key_prefix="lib:")
        self.use(cache)
        self.assertEqual(cache.inc("visits", 5), 5)
        self.assertEqual(cache.dec("visits"), 4)
        self.assertFalse(cache.delete("none"))

    def use(self, cache):
        self.assertTrue(cache.set("a", {"x": [1, "ü"]}, timeout=100))
        self.assertEqual(cache.get("a"), {"x": [1, "ü"]})
        self.assertTrue(cache.add("b", 1))
        self.assertFalse(cache.add("b", 2))
        cache.set_many({"c": 3, "d": b"\x00"})
        self.assertEqual(cache.get_many("b", "c", "d", "none"),
                         [1, 3, b"\x00", None])
        self.assertTrue(cache.has("d"))
        cache.delete_many("c", "d")
        self.assertFalse(cache.has("d"))
        cache.set("forever", 1, timeout=0)
        db = self.kvd.client()
        self.assertEqual(sorted(db.ttl(key) > 0 for key in db.keys()),
                         [False, True, True])
        self.kvd.call("SET", "not-the-cache's", "1")
        self.assertTrue(cache.clear())
        self.assertEqual(db.keys(), [b"not-the-cache's"])


if __name__ == "__main__":
    unittest.main()
