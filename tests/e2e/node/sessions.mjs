// SPDX-License-Identifier: MIT
// Visitors of a web site, with npm's express-session and connect-redis:
// node sessions.mjs SOCKET
import assert from "node:assert/strict";
import http from "node:http";
import readline from "node:readline";
import { RedisStore } from "connect-redis";
import session from "express-session";
import { createClient } from "redis";

const path = process.argv[2];
const lines = readline.createInterface({ input: process.stdin });
const client = createClient({ socket: { path, reconnectStrategy: 10 } });
client.on("error", () => {});
await client.connect();

const store = new RedisStore({ client, prefix: "visitor:", ttl: 3600 });
const withSession = session({
  store,
  secret: "only for tests",
  resave: false,
  saveUninitialized: false,
});

// A basket: PUT adds an item, DELETE ends the visit.
const server = http.createServer((request, response) => {
  withSession(request, response, () => {
    if (request.method === "PUT") {
      const items = request.session.items ?? [];
      request.session.items = [...items, request.url.slice(1)];
    }
    const answer = () => response.end((request.session?.items ?? []).join());
    if (request.method === "DELETE") request.session.destroy(answer);
    else answer();
  });
});
const site = `${path}.http`;
await new Promise((done) => server.listen(site, done));

class Visitor {
  cookie = "";

  async ask(method, url = "/") {
    const headers = this.cookie ? { cookie: this.cookie } : {};
    const response = await new Promise((done, failed) => {
      http
        .request({ socketPath: site, path: url, method, headers }, done)
        .on("error", failed)
        .end();
    });
    const [cookie] = response.headers["set-cookie"] ?? [];
    if (cookie) this.cookie = cookie.split(";")[0];
    let body = "";
    for await (const data of response) body += data;
    return body;
  }
}

const [ann, bob] = [new Visitor(), new Visitor()];
assert.equal(await ann.ask("PUT", "/tea"), "tea");
assert.equal(await bob.ask("PUT", "/ink"), "ink");
assert.equal(await ann.ask("PUT", "/milk"), "tea,milk");
assert.equal(await new Visitor().ask("GET"), "");
for (const key of await client.keys("visitor:*")) {
  assert.ok((await client.ttl(key)) > 3000);
}

// Sessions outlive kvd.
console.log("restart");
await lines[Symbol.asyncIterator]().next();
assert.equal(await ann.ask("GET"), "tea,milk");

// What an administrator sees.
const all = (name) =>
  new Promise((done, failed) => {
    store[name]((error, value) => (error ? failed(error) : done(value)));
  });
assert.equal(await all("length"), 2);
assert.deepEqual(
  (await all("all")).map(({ items }) => items.length).sort(),
  [1, 2],
);
await ann.ask("DELETE");
assert.equal(await ann.ask("GET"), "");
assert.equal(await bob.ask("GET"), "ink");
await all("clear");
assert.equal(await bob.ask("GET"), "");

server.close();
client.destroy();
lines.close();
console.log("ok");
