// SPDX-License-Identifier: MIT
// npm's redis ("node-redis") in both protocols: node node_redis.mjs SOCKET
import assert from "node:assert/strict";
import readline from "node:readline";
import {
  RESP_TYPES,
  WatchError,
  createClient,
  createClientPool,
  defineScript,
} from "redis";

const path = process.argv[2];
const lines = readline.createInterface({ input: process.stdin });
const nextLine = lines[Symbol.asyncIterator]();

const scripts = {
  take: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `
      local left = tonumber(redis.call("GET", KEYS[1]) or 0)
      if left < tonumber(ARGV[1]) then return false end
      return redis.call("DECRBY", KEYS[1], ARGV[1])`,
    parseCommand(parser, key, count) {
      parser.pushKey(key);
      parser.push(count.toString());
    },
    transformReply: (reply) => reply,
  }),
};

// A command that was on its way when its connection was lost fails.
async function persistently(call) {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      assert.match(error.message, /ECONN|EPIPE|ENOENT|[Ss]ocket/);
      await new Promise((done) => setTimeout(done, 5));
    }
  }
}

for (const RESP of [2, 3]) {
  const options = { RESP, socket: { path, reconnectStrategy: 10 }, scripts };
  const client = createClient(options);
  client.on("error", () => {});  // It comes back by itself.
  await client.connect();
  await client.flushDb();

  // Values and their deadlines.
  assert.equal(await client.set("greeting", "héllo", { EX: 3600 }), "OK");
  assert.equal(await client.get("greeting"), "héllo");
  assert.ok((await client.ttl("greeting")) > 3000);
  assert.equal(await client.set("greeting", "x", { condition: "NX" }), null);
  assert.equal(await client.get("none"), null);
  assert.equal(await client.incrBy("visits", 41), 41);
  assert.deepEqual(await client.mGet(["visits", "none"]), ["41", null]);
  assert.equal(await client.del(["greeting", "visits"]), 2);

  // Bytes, and many of them.
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const large = Buffer.alloc(5_000_000, Buffer.from([0, 13, 10, 255]));
  await client.set(Buffer.from([0, 255]), large);
  assert.ok(large.equals(await bytes.get(Buffer.from([0, 255]))));
  await client.unlink(Buffer.from([0, 255]));

  // Commands that are sent together.
  await Promise.all(
    Array.from({ length: 1000 }, (_, i) => client.set(`key:${i}`, i)),
  );
  const found = new Set();
  for await (const keys of client.scanIterator({ MATCH: "key:*", COUNT: 99 })) {
    keys.forEach((key) => found.add(key));
  }
  assert.equal(found.size, 1000);

  // A transaction, and one whose key another client changes.
  assert.deepEqual(
    await client.multi().set("n", "1").incr("n").get("n").exec(),
    ["OK", 2, "2"],
  );
  const other = client.duplicate();
  other.on("error", () => {});
  await other.connect();
  await client.watch("n");
  await other.incr("n");
  await assert.rejects(client.multi().set("n", "lost").exec(), WatchError);
  assert.equal(await client.get("n"), "3");

  // Counting with WATCH, each on a connection of a pool.
  const pool = createClientPool(options, { minimum: 1, maximum: 4 });
  pool.on("error", () => {});
  await pool.connect();
  const addOne = () =>
    pool.execute(async (one) => {
      for (;;) {
        try {
          await one.watch("count");
          const before = Number(await one.get("count"));
          await one.multi().set("count", before + 1).exec();
          return;
        } catch (error) {
          if (!(error instanceof WatchError)) throw error;
        }
      }
    });
  await Promise.all(Array.from({ length: 40 }, addOne));
  assert.equal(await client.get("count"), "40");

  // A command of one's own, also after its script was forgotten.
  await client.set("tickets", 5);
  assert.equal(await client.take("tickets", 2), 3);
  await client.scriptFlush();
  assert.equal(await client.take("tickets", 2), 1);
  assert.equal(await client.take("tickets", 2), null);

  // What is refused leaves the connection as it was.
  await assert.rejects(client.lPush("list", "x"), /unknown command 'LPUSH'/);
  await client.set("text", "x");
  await assert.rejects(client.incr("text"), /not an integer/);
  assert.equal(await client.ping(), "PONG");

  // What an operator asks.
  assert.match(await client.info("server"), /redis_version:7/);
  assert.equal((await client.clientInfo()).resp, RESP);
  assert.equal((await client.configGet("appendonly")).appendonly, "yes");
  assert.ok((await client.memoryUsage("text")) > 0);

  // kvd is killed, and comes back with all that it had answered.
  const lost = new Promise((done) => client.once("reconnecting", done));
  console.log("restart");
  await lost;
  const answer = persistently(() => client.get("count"));
  await nextLine.next();
  assert.equal(await answer, "40");
  assert.equal(await persistently(() => pool.get("n")), "3");

  await pool.close();
  for (const one of [client, other]) one.destroy();
}
lines.close();
console.log("ok");
