// What buyers have put into their carts: lists in Redis, which expire.
"use strict";
const fs = require("fs");
const http = require("http");
const net = require("net");

const [, listenHost, listenPort] = process.env.DEMO_LISTEN.match(/^(.*):(\d+)$/);
let state = JSON.parse(fs.readFileSync(process.env.DEMO_STATE));
setInterval(() => {
  try {
    state = JSON.parse(fs.readFileSync(process.env.DEMO_STATE));
  } catch {
    // it is being replaced; the next look finds it
  }
}, 500);

// One connection to Redis; commands are written as they come and answered in order.
let connection = null;
let waiting = [];
let received = Buffer.alloc(0);

function connect() {
  const [, host, port] = state.peers.redis.match(/^(.*):(\d+)$/);
  const socket = net.connect(Number(port), host);
  socket.setNoDelay(true);
  socket.setTimeout(0);
  socket.on("data", (chunk) => {
    received = Buffer.concat([received, chunk]);
    for (let answer = parse(received, 0); answer; answer = parse(received, 0)) {
      received = received.subarray(answer.end);
      waiting.shift().resolve(answer.value);
    }
  });
  const lost = () => {
    if (connection !== socket) return;
    connection = null;
    received = Buffer.alloc(0);
    for (const one of waiting.splice(0)) one.reject(new Error("Redis is away"));
  };
  socket.on("error", lost);
  socket.on("close", lost);
  return socket;
}

function parse(bytes, at) {
  const end = bytes.indexOf("\r\n", at);
  if (end < 0) return null;
  const kind = String.fromCharCode(bytes[at]);
  const text = bytes.toString("utf8", at + 1, end);
  if (kind === "$") {
    const size = Number(text);
    if (size < 0) return { value: null, end: end + 2 };
    if (bytes.length < end + 4 + size) return null;
    return { value: bytes.toString("utf8", end + 2, end + 2 + size), end: end + 4 + size };
  }
  if (kind === "*") {
    const values = [];
    let next = end + 2;
    for (let left = Number(text); left > 0; left -= 1) {
      const item = parse(bytes, next);
      if (!item) return null;
      values.push(item.value);
      next = item.end;
    }
    return { value: values, end: next };
  }
  return { value: kind === ":" ? Number(text) : text, end: end + 2 };
}

function redis(...commands) {
  connection ??= connect();
  const encoded = commands.map(
    (words) => `*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join(""),
  );
  const answers = commands.map(() => new Promise((resolve, reject) => waiting.push({ resolve, reject })));
  connection.write(encoded.join(""));
  return Promise.all(answers);
}

const held = [];
setInterval(() => {
  if (!state.leak_per_s) {
    for (const socket of held.splice(0)) socket.destroy();
    return;
  }
  if (held.length >= 2000) return;
  const [, host, port] = state.peers.redis.match(/^(.*):(\d+)$/);
  const socket = net.connect(Number(port), host);
  socket.on("error", () => {});
  held.push(socket);
}, 200);

async function answer(request, response) {
  request.resume();
  if (state.extra_s) await new Promise((done) => setTimeout(done, state.extra_s * 1000));
  if (state.error_ratio && Math.random() < state.error_ratio) return reply(response, 500, { error: "out of luck" });
  const [, , buyer, product] = request.url.split("/");
  const key = `cart:${buyer}`;
  if (request.method === "POST") {
    await redis(["LPUSH", key, product], ["LTRIM", key, "0", "9"], ["EXPIRE", key, "60"]);
    return reply(response, 200, { buyer, added: Number(product) });
  }
  const [items] = await redis(["LRANGE", key, "0", "-1"]);
  return reply(response, 200, { buyer, items: items.map(Number) });
}

function reply(response, status, body) {
  const content = JSON.stringify(body);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(content) });
  response.end(content);
}

const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => reply(response, 503, { error: error.message }));
});
server.keepAliveTimeout = 120000;
server.listen(Number(listenPort), listenHost);
process.on("SIGTERM", () => process.exit(0));
