// SPDX-License-Identifier: MIT
// npm's ioredis, in the version that most have and in the newest, which speaks
// RESP3: node ioredis.mjs SOCKET
import assert from "node:assert/strict";
import readline from "node:readline";
import Ioredis5 from "ioredis";
import Ioredis6 from "ioredis6";

const path = process.argv[2];
const lines = readline.createInterface({ input: process.stdin });
const nextLine = lines[Symbol.asyncIterator]();

for (const Redis of [Ioredis5, Ioredis6]) {
  const options = {
    path,
    retryStrategy: () => 10,
    maxRetriesPerRequest: null,
  };
  const client = new Redis(options);
  client.on("error", () => {});  // It comes back by itself.
  await client.flushdb();

  // Values and their deadlines.
  assert.equal(await client.set("greeting", "héllo", "EX", 3600), "OK");
  assert.equal(await client.get("greeting"), "héllo");
  assert.ok((await client.ttl("greeting")) > 3000);
  assert.equal(await client.set("greeting", "x", "NX"), null);
  assert.equal(await client.get("none"), null);
  assert.equal(await client.incrby("visits", 41), 41);
  assert.deepEqual(await client.mget("visits", "none"), ["41", null]);
  assert.equal(await client.del("greeting", "visits"), 2);

  // Bytes, and many of them.
  const large = Buffer.alloc(5_000_000, Buffer.from([0, 13, 10, 255]));
  await client.set(Buffer.from([0, 255]), large);
  assert.ok(large.equals(await client.getBuffer(Buffer.from([0, 255]))));
  await client.unlink(Buffer.from([0, 255]));

  // Commands that are sent together, by hand and by themselves.
  const pipeline = client.pipeline();
  for (let i = 0; i < 1000; ++i) pipeline.set(`key:${i}`, i);
  pipeline.lpush("list", "x");
  const results = await pipeline.exec();
  assert.equal(results.filter(([, reply]) => reply === "OK").length, 1000);
  assert.match(results[1000][0].message, /unknown command 'lpush'/i);
  const eager = new Redis({ ...options, enableAutoPipelining: true });
  const values = await Promise.all([eager.get("key:1"), eager.get("key:2")]);
  assert.deepEqual(values, ["1", "2"]);
  const found = new Set();
  for await (const keys of client.scanStream({ match: "key:*", count: 99 })) {
    keys.forEach((key) => found.add(key));
  }
  assert.equal(found.size, 1000);

  // A transaction, and one whose key another client changes.
  assert.deepEqual(await client.multi().set("n", 1).incr("n").exec(), [
    [null, "OK"],
    [null, 2],
  ]);
  await client.watch("n");
  await eager.incr("n");
  assert.equal(await client.multi().set("n", "lost").exec(), null);
  assert.equal(await client.get("n"), "3");

  // A command of one's own, also after its script was forgotten.
  client.defineCommand("take", {
    numberOfKeys: 1,
    lua: `
      local left = tonumber(redis.call("GET", KEYS[1]) or 0)
      if left < tonumber(ARGV[1]) then return false end
      return redis.call("DECRBY", KEYS[1], ARGV[1])`,
  });
  await client.set("tickets", 5);
  assert.equal(await client.take("tickets", 2), 3);
  await client.script("FLUSH");
  assert.equal(await client.take("tickets", 2), 1);
  assert.equal(await client.take("tickets", 2), null);

  // What is refused, and what takes too long.
  await assert.rejects(client.incr("n", "x"), /wrong number/);
  const hasty = new Redis({ ...options, commandTimeout: 50 });
  hasty.on("error", () => {});
  await client.client("PAUSE", 600_000);
  await assert.rejects(hasty.get("n"), /timed out/);
  await client.client("UNPAUSE");
  while ((await hasty.get("n").catch(() => "late")) !== "3");

  // Prefixed keys in another database.
  const shop = new Redis({ ...options, db: 3, keyPrefix: "shop:" });
  await shop.mset({ tea: 3, ink: 5 });
  assert.deepEqual((await shop.keys("*")).sort(), ["shop:ink", "shop:tea"]);
  assert.equal(await shop.get("ink"), "5");

  // kvd is killed; what is sent meanwhile is answered by the next one.
  const back = new Promise((done) => client.once("reconnecting", done));
  console.log("restart");
  await back;
  const answer = client.get("n");
  await nextLine.next();
  assert.equal(await answer, "3");
  for (const one of [client, eager, hasty, shop]) one.disconnect();
}
lines.close();
console.log("ok");
