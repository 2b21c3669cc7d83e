# SPDX-License-Identifier: MIT
"""redis-py as Debian has it: pools, pipelines, locks, and what an application
sees when kvd refuses something, is slow, or was killed."""

import multiprocessing
import threading
import unittest

import redis
from redis.backoff import ConstantBackoff
from redis.connection import HiredisParser, PythonParser
from redis.exceptions import (BusyLoadingError, DataError,
                              ExecAbortError, LockError, LockNotOwnedError,
                              NoScriptError, ResponseError, WatchError)
from redis.retry import Retry

from harness import E2eTest, SECONDS_MAX, scaled, wait_until

EVERY_BYTE = bytes(range(256))


def together(count, work):
    """Runs work(0) … work(count - 1) at the same time; an error is one here."""
    errors = []

    def run(number):
        try:
            work(number)
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class Day(E2eTest):
    """What an application does all day."""

    threaded = True

    def setUp(self):
        self.kvd = self.started()
        self.db = self.kvd.client()

    def test_a_url(self):
        db = redis.from_url(f"unix://{self.kvd.socket_path}?db=3",
                            decode_responses=True, client_name="shop",
                            health_check_interval=1)
        self.addCleanup(db.close)
        db.set("größe", "groß", ex=3600)
        self.assertEqual(db.get("größe"), "groß")
        self.assertEqual(db.client_getname(), "shop")
        databases = self.db.info("keyspace")
        self.assertEqual(databases.keys(), {"db3"})
        self.assertEqual(databases["db3"]["keys"], 1)

    def test_a_pool_that_waits_for_a_connection(self):
        pool = redis.BlockingConnectionPool(
            max_connections=2, timeout=SECONDS_MAX, path=self.kvd.socket_path,
            connection_class=redis.UnixDomainSocketConnection)
        self.addCleanup(pool.disconnect)
        db, rounds = redis.Redis(connection_pool=pool), scaled(100, 20)
        together(8, lambda _: [db.incr("n") for _ in range(rounds)])
        self.assertEqual(int(db.get("n")), 8 * rounds)
        self.assertLessEqual(self.db.info("clients")["connected_clients"], 3)

    def test_a_pool_that_refuses_one_more(self):
        db = self.kvd.client(max_connections=1)
        with db.pipeline() as pipe:
            pipe.watch("a")  # Keeps the only connection.
            with self.assertRaisesRegex(redis.ConnectionError,
                                        "Too many connections"):
                db.get("a")
        self.assertIsNone(db.get("a"))

    def test_a_pool_in_a_forked_process(self):
        self.db.set("n", 1)
        child = multiprocessing.get_context("fork").Process(
            target=self.db.incr, args=("n",))
        child.start()
        child.join()
        self.assertEqual((child.exitcode, self.db.incr("n")), (0, 3))

    def test_both_parsers(self):
        for parser in (HiredisParser, PythonParser):
            with self.subTest(parser.__name__):
                pool = redis.ConnectionPool(
                    connection_class=redis.UnixDomainSocketConnection,
                    path=self.kvd.socket_path, parser_class=parser)
                self.addCleanup(pool.disconnect)
                db = redis.Redis(connection_pool=pool)
                db.mset({EVERY_BYTE: EVERY_BYTE, "empty": b""})
                self.assertEqual(db.mget(EVERY_BYTE, "empty", "none"),
                                 [EVERY_BYTE, b"", None])
                self.assertEqual(
                    db.eval("return {1, {'a', {}}, false}", 0),
                    [1, [b"a", []], None])
                with self.assertRaises(ResponseError):
                    db.incr("empty")

    def test_large_values(self):
        size = scaled(20_000_000, 2_000_000)
        value = EVERY_BYTE * (size // 256)
        self.db.set("large", value)
        self.assertEqual(self.db.get("large"), value)
        self.assertEqual(self.db.getrange("large", 250, 260),
                         value[250:261])
        with self.db.pipeline(transaction=False) as pipe:
            pipe.get("large").append("large", b"!").strlen("large")
            self.assertEqual(pipe.execute()[1:], [len(value) + 1] * 2)

    def test_keys_page_by_page(self):
        pages = scaled(2000, 500)
        self.db.mset({f"page:{i}": i for i in range(pages)})
        self.db.mset({f"user[{i}]": i for i in range(50)})
        self.assertEqual(len(set(self.db.scan_iter("page:*", count=100))),
                         pages)
        self.assertEqual(len(list(self.db.scan_iter(r"user\[*\]"))), 50)
        self.assertEqual(list(self.db.scan_iter(_type="list")), [])
        for key in self.db.scan_iter("page:*", count=7):  # While they vanish.
            self.db.unlink(key)
        self.assertEqual(self.db.dbsize(), 50)

    def test_money_moves_from_one_account_to_another(self):
        """With WATCH: tried again when somebody else was quicker."""
        accounts = [f"account:{i}" for i in range(4)]
        self.db.mset(dict.fromkeys(accounts, 100))
        retries = []

        def transfer(source, target):
            with self.db.pipeline() as pipe:
                while True:
                    try:
                        pipe.watch(source, target)
                        if int(pipe.get(source)) < 7:
                            return
                        pipe.multi()
                        pipe.decrby(source, 7).incrby(target, 7)
                        pipe.execute()
                        return
                    except WatchError:
                        retries.append(source)

        together(8, lambda number: [
            transfer(accounts[(number + i) % 4], accounts[(number + i * 3) % 4])
            for i in range(scaled(50, 15))])
        balances = [int(value) for value in self.db.mget(accounts)]
        self.assertEqual(sum(balances), 400)
        self.assertGreaterEqual(min(balances), 0)

    def test_a_lock(self):
        lock = self.db.lock("door", timeout=100)
        other = self.db.lock("door", timeout=100, blocking_timeout=0.01)
        self.assertTrue(lock.acquire())
        self.assertFalse(other.acquire())
        self.assertTrue(lock.extend(100, replace_ttl=False))
        self.assertIn(self.db.ttl("door"), range(101, 201))
        self.assertTrue(lock.reacquire())
        self.assertIn(self.db.ttl("door"), range(1, 101))
        with self.assertRaisesRegex(LockError, "unlocked lock"):
            other.release()
        self.db.delete("door")  # As if it had expired.
        with self.assertRaises(LockNotOwnedError):
            lock.release()
        with other:
            self.assertTrue(other.owned())
            self.assertTrue(self.db.exists("door"))
        self.assertFalse(lock.locked())

    def test_a_lock_outlives_a_crash(self):
        lock = self.db.lock("door", timeout=100)
        self.assertTrue(lock.acquire())
        self.kvd.kill()
        self.kvd.start()
        self.assertFalse(self.db.lock("door").acquire(blocking=False))
        lock.release()
        self.assertTrue(self.db.lock("door").acquire(blocking=False))

    def test_a_function_of_ones_own(self):
        take = self.db.register_script(
            "local left = tonumber(redis.call('GET', KEYS[1]) or 0) "
            "if left < tonumber(ARGV[1]) then return false end "
            "return redis.call('DECRBY', KEYS[1], ARGV[1])")
        self.db.set("tickets", 5)
        self.assertEqual([take(["tickets"], [2]) for _ in range(3)],
                         [3, 1, None])
        self.db.script_flush()
        self.db.set("tickets", 9)
        with self.db.pipeline() as pipe:
            take(["tickets"], [2], client=pipe)
            self.assertEqual(pipe.execute(), [7])

    def test_bits_and_numbers(self):
        visits = "visits:2026-11-30"
        for visitor in (3, 8, 100):
            self.db.setbit(visits, visitor, 1)
        self.assertEqual(self.db.bitcount(visits), 3)
        self.db.bitop("OR", "either", visits, "visits:none")
        self.assertEqual(self.db.bitpos("either", 1), 3)
        self.assertEqual(self.db.bitfield("meter").incrby("u8", 0, 250)
                         .incrby("u8", 0, 250, "SAT").execute(), [250, 255])
        self.assertEqual(self.db.incrbyfloat("weight", 1.5), 1.5)
        self.assertEqual(self.db.lcs("either", visits, len=True), 13)

    def test_what_an_operator_asks(self):
        self.db.set("a", "1")
        self.assertEqual(self.db.client_info()["db"], 0)
        self.assertIn(str(self.db.client_id()), [
            client["id"] for client in self.db.client_list(_type="normal")])
        self.assertGreater(self.db.memory_usage("a"), 0)
        self.assertGreater(self.db.memory_stats()["keys.count"], 0)
        self.assertEqual(self.db.object("encoding", "a"), b"int")
        self.db.config_set("slowlog-log-slower-than", 0)
        self.db.set("slow", "1")
        self.assertEqual(self.db.slowlog_get(1)[0]["command"], b"SET slow 1")
        self.assertGreater(self.db.slowlog_len(), 0)
        self.assertTrue(self.db.slowlog_reset())
        self.assertEqual(self.db.role()[0], b"master")
        self.assertEqual(self.db.acl_whoami(), "default")
        self.assertEqual(self.db.command_getkeys("MSET", "a", 1, "b", 2),
                         ["a", "b"])
        self.assertTrue(self.db.lastsave())
        self.assertIn("uptime_in_seconds", self.db.info("server"))

    def test_a_monitor(self):
        with self.db.monitor() as monitor:
            self.db.set("a", "two words")
            seen = monitor.next_command()
        self.assertEqual((seen["command"], seen["client_type"]),
                         ("SET a two words", "unix"))

    def test_a_connection_of_ones_own(self):
        with self.kvd.client(single_connection_client=True) as db:
            number = db.client_id()
            self.assertEqual(db.client_id(), number)
            self.db.client_kill_filter(_id=number)

            def is_cut_off():
                try:
                    return db.client_id() != number
                except redis.ConnectionError:
                    return True

            wait_until(is_cut_off, "it is cut off")
            self.assertNotEqual(db.client_id(), number)


class Errors(E2eTest):
    """Each refusal is the exception that redis-py has for it."""

    threaded = True

    def test_of_commands(self):
        db = self.started().client()
        db.set("text", "x")
        for raised, call in (
                (ResponseError, lambda: db.lpush("list", 1)),
                (ResponseError, lambda: db.hset("hash", "a", 1)),
                (ResponseError, lambda: db.incr("text")),
                (ResponseError, lambda: db.set("text", "x", ex=-1)),
                (NoScriptError, lambda: db.evalsha("0" * 40, 0)),
                (ResponseError, lambda: db.cluster("info")),
                (ResponseError, lambda: db.execute_command("XADD"))):
            with self.assertRaises(raised):
                call()
        with self.assertRaises(DataError):  # Which never leaves the client.
            db.set("text", None)

    def test_of_another_type(self):
        db = self.started().client()
        with self.assertRaisesRegex(ResponseError,
                                    "^unknown command 'LPUSH', with args "
                                    "beginning with: 'list' '1'"):
            db.lpush("list", 1)

    def test_of_pipelines(self):
        db = self.started().client()
        db.set("text", "x")
        for transaction in (True, False):
            with db.pipeline(transaction=transaction) as pipe:
                pipe.set("a", 1).incr("text").set("b", 2)
                with self.assertRaisesRegex(
                        ResponseError, r"^Command # 2 \(INCRBY text 1\) of "
                        "pipeline caused error: value is not an integer"):
                    pipe.execute()
            self.assertEqual(db.mget("a", "b"), [b"1", b"2"])
            db.delete("a", "b")
        with db.pipeline() as pipe:
            pipe.set("a", 1).execute_command("NOPE")
            with self.assertRaisesRegex(ResponseError, "unknown command"):
                pipe.execute()
            pipe.execute_command("MULTI").execute_command("NOPE")
            with self.assertRaises(ResponseError):
                pipe.execute()
        with db.client() as one:
            one.execute_command("MULTI")
            with self.assertRaises(ResponseError):
                one.execute_command("NOPE")
            with self.assertRaises(ExecAbortError):
                one.execute_command("EXEC")
        self.assertIsNone(db.get("a"))

    def test_of_a_password_that_nobody_set(self):
        kvd = self.started()
        for options, error in (
                ({"password": "x"}, "without any password configured"),
                ({"username": "x", "password": "x"}, "^WRONGPASS ")):
            with self.assertRaisesRegex(ResponseError, error):
                kvd.client(**options).ping()

    def test_of_full_memory(self):
        db = self.started(settings={"memory.limit": "16MiB"}).client()
        with self.assertRaisesRegex(ResponseError, "^OOM "):
            for i in range(1_000_000):
                db.mset({f"{i}:{j}:" + "k" * 1000: "x" for j in range(100)})
        self.assertTrue(db.unlink("0:0:" + "k" * 1000))

    def test_of_too_many_clients(self):
        kvd = self.started(settings={"limits.connections": 5,
                                     "limits.reserved_connections": 0})

        def is_refused():
            kvd.connect()  # And stays.
            try:
                kvd.client().ping()
            except redis.ConnectionError:
                return True
            return False

        wait_until(is_refused, "they are too many")

    def test_of_a_value_that_is_too_large(self):
        kvd = self.started(settings={"limits.value_size": "1MiB"})
        with self.assertRaises((ResponseError, redis.ConnectionError)):
            kvd.client().set("a", b"x" * 3_000_000)
        self.assertIsNone(kvd.client().get("a"))


class Interruptions(E2eTest):
    """kvd is slow, gone, or back again."""

    threaded = True

    def setUp(self):
        self.kvd = self.started()

    def test_a_timeout_does_not_mix_up_replies(self):
        patient = self.kvd.client()
        hasty = redis.Redis(unix_socket_path=self.kvd.socket_path,
                            socket_timeout=0.05, single_connection_client=True)
        self.addCleanup(hasty.close)
        patient.mset({"a": "1", "b": "2"})
        patient.client_pause(1000 * SECONDS_MAX)
        with self.assertRaises(redis.TimeoutError):
            hasty.get("a")
        patient.client_unpause()
        hasty.connection.socket_timeout = SECONDS_MAX
        self.assertEqual(hasty.get("b"), b"2")

    def test_down_and_back(self):
        db = self.kvd.client()
        db.set("a", "1")
        self.kvd.kill()
        with self.assertRaises(redis.ConnectionError):
            db.get("a")
        self.kvd.start()
        # Its pool sees by itself that the connection is dead.
        self.assertEqual(db.get("a"), b"1")

    def test_a_watch_is_lost_with_its_connection(self):
        db = self.kvd.client()
        with db.pipeline() as pipe:
            pipe.watch("a")
            self.kvd.kill()
            self.kvd.start()
            pipe.multi()
            pipe.set("a", "1")
            with self.assertRaises((WatchError, redis.ConnectionError)):
                pipe.execute()
        self.assertIsNone(db.get("a"))

    def test_counting_through_crashes(self):
        """With redis-py's retries: a count that was answered is never lost; one
        whose answer was lost is tried again."""
        db = self.kvd.client(
            retry=Retry(ConstantBackoff(0.01), 100 * SECONDS_MAX),
            retry_on_error=[redis.ConnectionError, BusyLoadingError,
                            FileNotFoundError, ConnectionRefusedError])
        crashes, answered = scaled(4, 2), []
        stop = threading.Event()

        def count():
            while not stop.is_set():
                answered.append(db.incr("n"))

        thread = threading.Thread(target=count)
        thread.start()
        try:
            for _ in range(crashes):
                before = len(answered)
                wait_until(lambda: len(answered) > before + 10, "it counts")
                self.kvd.kill()
                self.kvd.start()
        finally:
            stop.set()
            thread.join()
        # Each crash may take one answer with it.
        self.assertEqual(answered, sorted(set(answered)))
        self.assertLessEqual(answered[-1] - len(answered), crashes)
        self.assertEqual(int(db.get("n")), answered[-1])


if __name__ == "__main__":
    unittest.main()
