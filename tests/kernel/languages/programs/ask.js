// Asks for <url> <times> times over one connection, and Redis on <port> for as many PINGs; says "ready" and waits for a line first.
"use strict";
const fs = require("fs");
const [url, times, redis, authority] = process.argv.slice(2);
const secure = url.startsWith("https:");
const web = require(secure ? "https" : "http");
const ca = secure ? fs.readFileSync(authority) : undefined;
const agent = new web.Agent({ keepAlive: true, maxSockets: 1, ca });

function get() {
  return new Promise((done, failed) => {
    web.get(url, { agent }, (answer) => {
      answer.on("data", () => {});
      answer.on("end", done);
    }).on("error", failed);
  });
}

function ping() {
  return new Promise((done, failed) => {
    const options = { host: "localhost", port: Number(redis), ca };
    const socket = secure ? require("tls").connect(options) : require("net").connect(options);
    let left = Number(times);
    const ask = () => socket.write("*1\r\n$4\r\nPING\r\n");
    socket.on(secure ? "secureConnect" : "connect", ask);
    socket.on("data", () => (--left ? ask() : socket.end()));
    socket.on("close", done);
    socket.on("error", failed);
  });
}

process.stdout.write("ready\n");
process.stdin.once("data", async () => {
  for (let i = 0; i < Number(times); i++) await get();
  agent.destroy();
  await ping();
  process.exit(0);
});
