// SPDX-License-Identifier: MIT
// A cache in memory before one in kvd, with npm's cache-manager:
// node cache_manager.mjs SOCKET
import assert from "node:assert/strict";
import KeyvRedis, { createClient } from "@keyv/redis";
import { createCache } from "cache-manager";
import Keyv from "keyv";

const client = createClient({ socket: { path: process.argv[2] } });
await client.connect();
// Each stands for a process with memory of its own.
const process1 = createCache({
  ttl: 3_600_000,
  stores: [new Keyv(), new Keyv({ store: new KeyvRedis(client) })],
});
const process2 = createCache({
  ttl: 3_600_000,
  stores: [new Keyv(), new Keyv({ store: new KeyvRedis(client) })],
});

await process1.set("user:1", { name: "Ann" });
assert.deepEqual(await process2.get("user:1"), { name: "Ann" });
assert.ok((await process2.ttl("user:1")) > Date.now() + 3_000_000);
assert.ok((await client.dbSize()) === 1);

await process1.mset([
  { key: "a", value: 1 },
  { key: "b", value: "two", ttl: 60_000 },
]);
assert.deepEqual(await process2.mget(["a", "b", "none"]), [
  1,
  "two",
  undefined,
]);

// Computed once, however many ask in however many processes.
let computed = 0;
const compute = async () => ++computed;
const results = await Promise.all(
  Array.from({ length: 5 }, () => process1.wrap("sum", compute)),
);
assert.deepEqual(results, [1, 1, 1, 1, 1]);
assert.equal(await process2.wrap("sum", compute), 1);
// It fails, and the next one tries again.
await assert.rejects(process1.wrap("bad", () => Promise.reject(Error("no"))));
assert.equal(await process1.wrap("bad", async () => "good"), "good");

await process1.del("user:1");
assert.equal(await client.exists("keyv::keyv:user:1"), 0);
await process1.mdel(["a", "b"]);
assert.equal(await process1.get("a"), undefined);
await process1.clear();
assert.equal(await client.dbSize(), 0);
client.destroy();
console.log("ok");
