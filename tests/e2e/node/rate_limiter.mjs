// SPDX-License-Identifier: MIT
// Limits of rates, with npm's rate-limiter-flexible:
// node rate_limiter.mjs SOCKET
import assert from "node:assert/strict";
import Redis from "ioredis";
import {
  BurstyRateLimiter,
  RateLimiterRedis,
  RateLimiterRes,
} from "rate-limiter-flexible";

const client = new Redis(process.argv[2]);
const limiter = new RateLimiterRedis({
  storeClient: client,
  keyPrefix: "api",
  points: 3,
  duration: 60,
});

// Three are let in, in whatever order they come; the rest hear how long.
const results = await Promise.allSettled(
  Array.from({ length: 5 }, () => limiter.consume("ann")),
);
const refused = results.filter(({ status }) => status === "rejected");
assert.equal(refused.length, 2);
for (const { reason } of refused) {
  assert.ok(reason instanceof RateLimiterRes);
  assert.ok(reason.msBeforeNext > 0 && reason.msBeforeNext <= 60_000);
}
assert.equal((await limiter.consume("bob")).remainingPoints, 2);
assert.equal((await limiter.get("ann")).consumedPoints, 5);
assert.equal(await limiter.get("nobody"), null);

await limiter.reward("ann", 3);
assert.equal((await limiter.consume("ann")).remainingPoints, 0);
await limiter.penalty("bob", 2);
await assert.rejects(limiter.consume("bob"), RateLimiterRes);
await limiter.block("carol", 30);
await assert.rejects(limiter.consume("carol"), RateLimiterRes);
assert.equal(await limiter.delete("carol"), true);
await limiter.consume("carol");

// Others than those above: once, and some more at a time.
const bursty = new BurstyRateLimiter(
  new RateLimiterRedis({
    storeClient: client,
    keyPrefix: "steady",
    points: 1,
    duration: 60,
  }),
  new RateLimiterRedis({
    storeClient: client,
    keyPrefix: "burst",
    points: 2,
    duration: 60,
  }),
);
for (let i = 0; i < 3; ++i) await bursty.consume("dave");
await assert.rejects(bursty.consume("dave"));

// A window ends.
const brief = new RateLimiterRedis({
  storeClient: client,
  keyPrefix: "brief",
  points: 1,
  duration: 1,
});
await brief.consume("erin");
await assert.rejects(brief.consume("erin"));
while ((await client.exists("brief:erin")) === 1) {
  await new Promise((done) => setTimeout(done, 20));
}
await brief.consume("erin");
client.disconnect();
console.log("ok");
