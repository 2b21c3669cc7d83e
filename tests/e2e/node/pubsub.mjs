// SPDX-License-Identifier: MIT
// Messages between programs, with node-redis in both protocols and ioredis in
// two versions; subscriptions last through a crash: node pubsub.mjs SOCKET
import assert from "node:assert/strict";
import readline from "node:readline";
import Ioredis5 from "ioredis";
import Ioredis6 from "ioredis6";
import { createClient } from "redis";

const path = process.argv[2];
const lines = readline.createInterface({ input: process.stdin });
const nextLine = lines[Symbol.asyncIterator]();

// What each library has: a subscriber that calls back, and a publisher.
async function nodeRedis(RESP, received) {
  const options = { RESP, socket: { path, reconnectStrategy: 10 } };
  const [subscriber, publisher] = [0, 1].map(() => createClient(options));
  for (const client of [subscriber, publisher]) {
    client.on("error", () => {});
    await client.connect();
  }
  const heard = (message, channel) => received.push([channel, message]);
  await subscriber.subscribe("news", heard);
  await subscriber.pSubscribe("user.*", heard);
  return {
    subscriber,
    publisher,
    unsubscribe: () => subscriber.unsubscribe("news"),
    close: () => [subscriber, publisher].forEach((one) => one.destroy()),
  };
}

async function ioredis(Redis, received) {
  const options = {
    path,
    retryStrategy: () => 10,
    maxRetriesPerRequest: null,
  };
  const [subscriber, publisher] = [0, 1].map(() => new Redis(options));
  for (const client of [subscriber, publisher]) client.on("error", () => {});
  await subscriber.subscribe("news");
  await subscriber.psubscribe("user.*");
  const heard = (channel, message) => received.push([channel, message]);
  subscriber.on("message", heard);
  subscriber.on("pmessage", (pattern, ...rest) => heard(...rest));
  return {
    subscriber,
    publisher,
    unsubscribe: () => subscriber.unsubscribe("news"),
    close: () => [subscriber, publisher].forEach((one) => one.disconnect()),
  };
}

async function until(condition) {
  while (!(await condition())) await new Promise((done) => setTimeout(done, 2));
}

async function day(open) {
  const received = [];
  const { subscriber, publisher, unsubscribe, close } = await open(received);

  // In their order, from channels and patterns.
  for (let i = 0; i < 200; ++i) {
    assert.equal(await publisher.publish(i % 2 ? "news" : "user.ann", `${i}`), 1);
  }
  await until(() => received.length === 200);
  assert.deepEqual(received[1], ["news", "1"]);
  assert.deepEqual(
    received.map(([, message]) => message),
    Array.from({ length: 200 }, (_, i) => `${i}`),
  );
  assert.equal(await publisher.publish("weather", "rain"), 0);

  // kvd is killed; the library subscribes again.
  const lost = new Promise((done) => subscriber.once("reconnecting", done));
  console.log("restart");
  await lost;
  await nextLine.next();
  await until(async () => {
    const count = await publisher.publish("user.bob", "back?").catch(() => 0);
    return count === 1;
  });
  await until(() => received.at(-1)[1] === "back?");
  await until(async () => (await publisher.publish("news", "again")) === 1);
  await until(() => received.at(-1)[1] === "again");

  await unsubscribe();
  assert.equal(await publisher.publish("news", "more"), 0);
  close();
}

for (const RESP of [2, 3]) await day((received) => nodeRedis(RESP, received));
for (const Redis of [Ioredis5, Ioredis6]) {
  await day((received) => ioredis(Redis, received));
}
lines.close();
console.log("ok");
