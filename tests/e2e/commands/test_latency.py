# SPDX-License-Identifier: MIT
"""What kvd says of its speed: to redis-cli, beside redis-server, and by kvctl.

No test looks at how long anything took, only at what was counted.
"""

import json
import re
import unittest

from harness import Connection, E2eTest, as_map, run

PERCENTILES = r"p50=\d+\.\d{3},p99=\d+\.\d{3},p99\.9=\d+\.\d{3}"


class Histograms(E2eTest):

    def buckets(self, histogram):
        counts = as_map(histogram)["buckets"]
        return sum(counts.values() if isinstance(counts, dict)
                   else counts[1::2])

    def test_every_call_is_counted_alone_and_in_pipelines(self):
        kvd = self.started()
        client = kvd.connect()
        for _ in range(10):
            client.call("GET", "a")
        client.pipeline([("GET", "a")] * 1000)
        client.pipeline([("SET", "a", "1"), ("GET", "a")] * 500)
        info = kvd.info()
        self.assertRegex(info["cmdstat_get"], r"^calls=1510,usec=\d+,"
                         r"usec_per_call=\d+\.\d\d,rejected_calls=0,"
                         r"failed_calls=0$")
        self.assertRegex(info["latency_percentiles_usec_get"],
                         f"^{PERCENTILES}$")
        self.assertRegex(info["kvd_reply_percentiles_usec_set"],
                         f"^{PERCENTILES}$")
        self.assertEqual(int(info["kvd_read_commands"]), 1510)
        self.assertEqual(int(info["kvd_write_commands"]), 500)

        get = as_map(as_map(client.call("LATENCY", "HISTOGRAM", "get"))["get"])
        self.assertEqual(get["calls"], 1510)
        self.assertEqual(get["histogram_usec"][-1], 1510)
        reply = as_map(client.call("KV.LATENCY", "COMMANDS", "get", "set"))
        for name, calls in (("get", 1510), ("set", 500)):
            times = as_map(reply[name])
            self.assertEqual(times["calls"], calls)
            self.assertEqual(self.buckets(times["run"]), calls)
            self.assertEqual(self.buckets(times["reply"]), calls)

    def test_the_log_counts_its_groups(self):
        kvd = self.started()
        client = kvd.connect()
        client.pipeline([("SET", f"k{i}", "v") for i in range(100)])
        info = kvd.info()
        groups = 100 / float(info["kvd_group_records_mean"])
        self.assertAlmostEqual(groups, round(groups), delta=0.01 * groups)
        self.assertLessEqual(int(info["kvd_group_records_p50"]),
                             int(info["kvd_group_records_max"]))
        self.assertGreater(int(info["kvd_group_wait_usec_max"]), 0)
        log = as_map(client.call("KV.LATENCY", "LOG"))
        self.assertEqual(self.buckets(log["wait"]), round(groups))
        client.call("CONFIG", "RESETSTAT")
        self.assertEqual(kvd.info()["kvd_group_records_max"], "0")

    def test_a_command_that_waits_for_others_is_counted_once(self):
        kvd = self.started(settings={"memory.value_cache": "1MiB"})
        client = kvd.connect()
        for i in range(40):
            client.call("SET", f"k{i}", b"v" * 100_000)
        client.call("CONFIG", "RESETSTAT")
        for i in range(40):
            self.assertEqual(len(client.call("GET", f"k{i}")), 100_000)
        get = as_map(as_map(client.call("KV.LATENCY", "COMMANDS", "get"))["get"])
        self.assertEqual(get["calls"], 40)
        self.assertEqual(self.buckets(get["run"]), 40)
        self.assertEqual(self.buckets(get["reply"]), 40)


class SlowLog(E2eTest):

    def test_it_shows_commands_with_their_clients(self):
        kvd = self.started(settings={"slowlog.threshold": "0us",
                                     "slowlog.length": 3})
        client = kvd.connect()
        client.call("CLIENT", "SETNAME", "me")
        client.call("SET", "k", b"x" * 200)
        client.call("GET", "k")
        entries = client.call("SLOWLOG", "GET")
        self.assertEqual([entry[3] for entry in entries],
                         [[b"GET", b"k"],
                          [b"SET", b"k", b"x" * 120 + b"... (80 more bytes)"],
                          [b"CLIENT", b"SETNAME", b"me"]])
        newest = entries[0][0]
        self.assertEqual([entry[0] for entry in entries],
                         [newest, newest - 1, newest - 2])
        self.assertEqual(entries[0][4], kvd.socket_path.encode() + b":0")
        self.assertEqual(entries[0][5], b"me")
        self.assertEqual(client.call("CONFIG", "GET", "slowlog*"),
                         [b"slowlog-log-slower-than", b"0",
                          b"slowlog-max-len", b"3",
                          b"slowlog.threshold", b"0us",
                          b"slowlog.length", b"3"])
        self.assertEqual(client.call("SLOWLOG", "LEN"), 3)

    def test_nobody_is_slow_by_the_default_threshold(self):
        client = self.started(
            settings={"slowlog.threshold": "1h"}).connect()
        client.pipeline([("SET", f"k{i}", "v") for i in range(1000)])
        client.call("KEYS", "*")
        self.assertEqual(client.call("SLOWLOG", "GET", "-1"), [])


class Kvctl(E2eTest):

    def test_latency(self):
        kvd = self.started()
        kvd.kvctl("set", "a", "1")
        kvd.call("GET", "a")
        kvd.call("GET", "a")
        table = kvd.kvctl("latency").stdout.decode()
        self.assertRegex(table, r"\ncommand +calls +p50 +p99 +p99.9 +max")
        # Four figures of the reply, four of the run.
        self.assertRegex(table, r"\nget +2( +\d[\d.]*(ns|us|ms|s)){8}\n")
        one = kvd.kvctl("latency", "get").stdout.decode()
        self.assertRegex(one, r"\nreply\n(  < .* \d\n)+run\n(  < .* \d\n)+$")
        rows = [json.loads(line) for line in
                kvd.kvctl("latency", "get", "kv.set", "--json")
                .stdout.splitlines()]
        self.assertEqual({row["command"]: row["calls"] for row in rows},
                         {"get": 2, "kv.set": 1})
        for row in rows:
            for which in ("run", "reply"):
                figures = [row[f"{which}_{name}_ns"]
                           for name in ("p50", "p99", "p999", "max")]
                self.assertEqual(figures, sorted(figures))
        none = kvd.kvctl("latency", "nosuch")
        self.assertEqual(none.returncode, 1)
        self.assertEqual(none.stderr.decode(), "kvctl: not called yet, or not a "
                         "command: nosuch\n")

    def test_stat(self):
        kvd = self.started()
        kvd.call("SET", "a", "1")
        lines = kvd.kvctl("stat", "-n", "22", "-i", "10ms") \
            .stdout.decode().splitlines()
        headers = [i for i, line in enumerate(lines) if "keys" in line]
        self.assertEqual(headers, [0, 21])
        self.assertEqual(len(lines), 24)
        self.assertEqual({line.split()[0] for line in lines[1:21]}, {"1"})
        row = json.loads(kvd.kvctl("stat", "-n", "1", "-i", "10ms",
                                   "--json").stdout)
        self.assertEqual(row["keys"], 1)
        self.assertEqual(row["writes_per_s"], 0)
        self.assertEqual(row["ops_per_s"], 0)
        self.assertGreater(row["log_bytes"], 0)
        self.assertEqual(kvd.kvctl("stat", "-n", "0").returncode, 2)


class BesideRedis(E2eTest):
    """Shapes that tools rely on; times are replaced by T."""

    def shape(self, client):
        client.call("CONFIG", "RESETSTAT")
        for _ in range(3):
            client.call("SET", "k", "v")
        client.call("GET", "k")
        client.call("CONFIG", "GET", "save")
        client.call("GET")
        client.call("CONFIG", "GET")
        client.call("CONFIG", "NOSUCH")
        client.call("NOSUCH")
        text = b"".join(client.call("INFO", section) for section in
                        ("commandstats", "errorstats", "latencystats"))
        lines = {re.sub(r"(usec|per_call|p[\d.]+)=[\d.]+", r"\1=T", line)
                 for line in text.decode().splitlines()
                 if re.search(r"(_set|_get|config\|get|errorstat_\w+):", line)
                 and not line.startswith("kvd_")}
        histogram = as_map(client.call("LATENCY", "HISTOGRAM", "set",
                                       "config", "nosuch"))
        calls = {name: as_map(value)["calls"]
                 for name, value in histogram.items() if "reset" not in name}
        return lines, calls

    def test_the_same_commands_give_the_same_lines(self):
        kvd = self.started()
        redis = Connection(self.redis_server())
        self.addCleanup(redis.close)
        ours, theirs = self.shape(kvd.connect()), self.shape(redis)
        self.assertEqual(ours, theirs)
        client = kvd.connect()
        for words in (("SLOWLOG", "GET", "-2"), ("SLOWLOG", "GET", "x"),
                      ("LATENCY", "LATEST"), ("LATENCY", "HISTORY", "e"),
                      ("LATENCY", "RESET"), ("LATENCY", "GRAPH", "e"),
                      ("LATENCY", "HISTOGRAM", "nosuch"), ("SLOWLOG", "HELP"),
                      ("SLOWLOG", "RESET")):
            self.assertEqual(client.raw(*words), redis.raw(*words), words)

    def test_redis_cli_shows_the_histogram(self):
        kvd = self.started()
        kvd.call("SET", "a", "1")
        result = run(["redis-cli", "-s", kvd.socket_path, "LATENCY",
                      "HISTOGRAM", "set"])
        self.assertEqual(result.stdout.split()[:3], [b"set", b"calls", b"1"])


if __name__ == "__main__":
    unittest.main()
