# SPDX-License-Identifier: MIT
"""Django with its cache and sessions in kvd: Debian's python3-django-redis and
python3-django-redis-sessions."""

import threading
import unittest

import django
from django.conf import settings
from django.core.cache import caches
from django.core.cache.utils import make_template_fragment_key
from django.http import HttpResponse
from django.template import Context, Engine
from django.test import Client, override_settings
from django.urls import path
from django.views.decorators.cache import cache_page
import redis

from harness import E2eTest, scaled

settings.configure(
    ALLOWED_HOSTS=["*"], SECRET_KEY="only for tests", ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache")
django.setup()

renderings = []


def front_page(request):
    renderings.append(request.path)
    return HttpResponse(f"page {len(renderings)}")


def basket(request):
    """What a visitor has put in so far."""
    items = request.session.get("items", [])
    if "add" in request.GET:
        request.session["items"] = items = [*items, request.GET["add"]]
    if "leave" in request.GET:
        request.session.flush()
    return HttpResponse(",".join(items))


# A decorated function would keep the cache of the first test.
urlpatterns = [path("front", lambda request: cache_page(600)(front_page)(
    request)),
               path("basket", basket)]


class Django(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()
        self.db = self.kvd.client()
        self.configure()

    def configure(self, **options):
        """What a site has in settings.py."""
        site = override_settings(CACHES={"default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": f"unix://{self.kvd.socket_path}?db=0",
            "KEY_PREFIX": "site",
            "TIMEOUT": 300,
            "OPTIONS": {
                "CLIENT_CLASS": "django_redis.client.DefaultClient",
                **options},
        }})
        site.enable()
        self.addCleanup(site.disable)
        self.cache = caches["default"]

    def test_values(self):
        for value in (1, "text", b"\x00", 2.5, None, {"a": [1, 2]}, "ü" * 9999):
            self.cache.set("key", value)
            self.assertEqual(self.cache.get("key", "missing"), value)
        self.assertEqual(self.cache.get("none", "missing"), "missing")
        self.assertIn("key", self.cache)
        self.assertEqual(self.db.keys("*"), [b"site:1:key"])

    def test_deadlines(self):
        self.cache.set("default", 1)
        self.cache.set("short", 1, timeout=10)
        self.cache.set("forever", 1, timeout=None)
        self.assertIn(self.cache.ttl("default"), range(290, 301))
        self.assertIn(self.cache.ttl("short"), range(1, 11))
        self.assertIsNone(self.cache.ttl("forever"))
        self.assertTrue(self.cache.touch("short", 100))
        self.assertIn(self.cache.ttl("short"), range(90, 101))
        self.assertTrue(self.cache.expire("forever", 50))
        self.assertIn(self.cache.pttl("forever"), range(1, 50_001))
        self.assertTrue(self.cache.persist("forever"))
        self.assertIsNone(self.cache.ttl("forever"))
        self.cache.set("short", 1, timeout=-1)
        self.assertNotIn("short", self.cache)

    def test_several_at_once(self):
        self.cache.set_many({f"user:{i}": {"name": i} for i in range(100)})
        self.assertEqual(self.cache.get_many(["user:1", "user:2", "none"]),
                         {"user:1": {"name": 1}, "user:2": {"name": 2}})
        self.assertEqual(len(self.cache.keys("user:*")), 100)
        self.assertEqual(len(set(self.cache.iter_keys("user:?"))), 10)
        self.cache.delete_many(["user:1", "user:2"])
        self.assertEqual(self.cache.delete_pattern("user:1*"), 10)
        self.assertEqual(self.db.dbsize(), 88)
        self.cache.clear()
        self.assertEqual(self.db.dbsize(), 0)

    def test_add_and_count(self):
        self.assertTrue(self.cache.add("visits", 1))
        self.assertFalse(self.cache.add("visits", 100))
        self.assertEqual(self.cache.incr("visits", 5), 6)
        self.assertEqual(self.cache.decr("visits"), 5)
        with self.assertRaises(ValueError):
            self.cache.incr("nobody")
        # More than 64 bits are not counted by kvd, but by django-redis.
        self.cache.set("huge", 2**63 - 1)
        self.assertEqual(self.cache.incr("huge"), 2**63)

    def test_versions_invalidate(self):
        self.cache.set("menu", "old")
        self.assertEqual(self.cache.incr_version("menu"), 2)
        self.assertIsNone(self.cache.get("menu"))
        self.assertEqual(self.cache.get("menu", version=2), "old")

    def test_computed_once(self):
        self.assertEqual(self.cache.get_or_set("sum", lambda: 2 + 2), 4)
        self.assertEqual(self.cache.get_or_set("sum", self.fail), 4)

    def test_a_lock(self):
        rounds = scaled(20, 8)
        self.cache.set("n", 0)

        def add():
            for _ in range(rounds):
                with self.cache.lock("lock", timeout=100, sleep=0.001):
                    self.cache.set("n", self.cache.get("n") + 1)

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.cache.get("n"), 4 * rounds)

    def test_compressed_and_as_json(self):
        self.configure(
            COMPRESSOR="django_redis.compressors.zlib.ZlibCompressor",
            SERIALIZER="django_redis.serializers.json.JSONSerializer")
        self.cache.set("page", "hello " * 1000)
        self.assertEqual(self.cache.get("page"), "hello " * 1000)
        self.assertLess(self.db.strlen("site:1:page"), 200)

    def test_a_herd_computes_once(self):
        self.configure(CLIENT_CLASS="django_redis.client.HerdClient")
        self.cache.set("page", "text", timeout=10)
        self.assertEqual(self.cache.get("page"), "text")
        self.cache.set_many({"a": 1, "b": 2})
        self.assertEqual(self.cache.get_many(["a", "b"]), {"a": 1, "b": 2})

    def test_a_page_and_a_part_of_a_page(self):
        del renderings[:]
        client = Client()
        pages = {client.get("/front").content for _ in range(3)}
        self.assertEqual(pages, {b"page 1"})
        self.assertEqual(len(self.db.keys("site:*cache_page*")), 1)
        self.cache.clear()
        self.assertEqual(client.get("/front").content, b"page 2")

        template = Engine(
            libraries={"cache": "django.templatetags.cache"}).from_string(
                "{% load cache %}{% cache 500 menu user %}{{ item }}"
                "{% endcache %}")
        for item in ("tea", "coffee"):
            self.assertEqual(template.render(Context(
                {"user": "ann", "item": item})), "tea")
        self.cache.delete(make_template_fragment_key("menu", ["ann"]))
        self.assertEqual(template.render(Context(
            {"user": "ann", "item": "coffee"})), "coffee")

    def test_sessions_in_the_cache(self):
        self.visit_with("django.contrib.sessions.backends.cache")

    def test_sessions_of_redis_sessions(self):
        from redis_sessions import settings as sessions
        sessions.SESSION_REDIS_UNIX_DOMAIN_SOCKET_PATH = self.kvd.socket_path
        sessions.SESSION_REDIS_HOST = None
        from redis_sessions.session import RedisServer
        RedisServer._RedisServer__redis.clear()
        self.visit_with("redis_sessions.session")

    def visit_with(self, engine):
        """Two visitors; kvd is killed meanwhile; one of them leaves."""
        settings.SESSION_ENGINE = engine
        ann, bob = Client(), Client()
        ann.get("/basket?add=tea")
        bob.get("/basket?add=ink")
        self.kvd.kill()
        self.kvd.start()
        self.assertEqual(ann.get("/basket?add=milk").content, b"tea,milk")
        self.assertEqual(bob.get("/basket").content, b"ink")
        sessions = self.db.dbsize()
        for key in self.db.keys():
            self.assertIn(self.db.ttl(key),
                          range(1, settings.SESSION_COOKIE_AGE + 1))
        ann.get("/basket?leave")
        self.assertEqual(self.db.dbsize(), sessions - 1)
        self.assertEqual(ann.get("/basket").content, b"")

    def test_a_site_goes_on_without_its_cache(self):
        self.configure(IGNORE_EXCEPTIONS=True)
        self.cache.set("a", 1)
        self.kvd.kill()
        self.assertIsNone(self.cache.get("a"))
        self.kvd.start()
        self.assertEqual(self.cache.get("a"), 1)

    def test_without_that_it_says_so(self):
        self.kvd.kill()
        with self.assertRaises(redis.ConnectionError):
            self.cache.get("a")


if __name__ == "__main__":
    unittest.main()
