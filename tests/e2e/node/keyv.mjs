// SPDX-License-Identifier: MIT
// A store of values with deadlines, with npm's keyv and @keyv/redis:
// node keyv.mjs SOCKET
import assert from "node:assert/strict";
import { createClient } from "@keyv/redis";
import KeyvRedis from "@keyv/redis";
import Keyv from "keyv";

const client = createClient({ socket: { path: process.argv[2] } });
await client.connect();
const open = (namespace) =>
  new Keyv({ store: new KeyvRedis(client), namespace });
const [users, pages] = [open("users"), open("pages")];
for (const store of [users, pages]) {
  store.on("error", (error) => assert.fail(error));
}

assert.equal(await users.set("ann", { age: 41, tags: ["ü"] }), true);
assert.deepEqual(await users.get("ann"), { age: 41, tags: ["ü"] });
assert.equal(await users.get("nobody"), undefined);
assert.equal(await users.has("ann"), true);

// One store's keys are not another's.
await pages.set("ann", "page", 3_600_000);
assert.equal(await pages.get("ann"), "page");
assert.ok((await client.ttl("pages::pages:ann")) > 3000);

await users.setMany([
  { key: "bob", value: 1 },
  { key: "eve", value: 2, ttl: 3_600_000 },
]);
assert.deepEqual(await users.getMany(["bob", "eve", "nobody"]), [
  1,
  2,
  undefined,
]);
const keys = [];
for await (const [key] of users.iterator(users.namespace)) keys.push(key);
assert.equal(keys.length, 3);
assert.equal(await users.delete(["bob", "eve"]), true);

await pages.set("brief", 1, 20);
while ((await pages.get("brief")) !== undefined) {
  await new Promise((done) => setTimeout(done, 5));
}

await users.clear();
assert.equal(await users.get("ann"), undefined);
assert.equal(await pages.get("ann"), "page");
client.destroy();
console.log("ok");
