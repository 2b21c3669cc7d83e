// SPDX-License-Identifier: MIT
// A lock of several processes, with npm's redlock: node redlock.mjs SOCKET
import assert from "node:assert/strict";
import Redis from "ioredis";
import Redlock from "redlock";

const client = new Redis(process.argv[2]);
const patient = new Redlock([client], {
  retryDelay: 5,
  retryJitter: 5,
  retryCount: 2000,
});
const hasty = new Redlock([client], { retryCount: 0 });
patient.on("error", () => {});
hasty.on("error", () => {});

// Who has it keeps others out, also from what is only a part of it.
const lock = await patient.acquire(["door", "window"], 60_000);
await assert.rejects(hasty.acquire(["window"], 1000));
const longer = await lock.extend(120_000);
assert.ok((await client.pttl("door")) > 60_000);
await longer.release();
assert.equal(await client.exists("door", "window"), 0);

// Nobody releases what has become another's.
const stale = await hasty.acquire(["door"], 60_000);
await client.set("door", "another's");
await assert.rejects(stale.release());
assert.equal(await client.get("door"), "another's");
await client.del("door");

// A counter that is read and written apart, under the lock.
await client.set("count", 0);
const add = () =>
  patient.using(["count-lock"], 10_000, async () => {
    const before = Number(await client.get("count"));
    await client.set("count", before + 1);
  });
await Promise.all(Array.from({ length: 20 }, add));
assert.equal(await client.get("count"), "20");
client.disconnect();
console.log("ok");
