// The reference of the differential test: Node's http server, which parses with llhttp. It answers every request with
// what it understood: {"method","target","body","trailers"}. Prints its port.
"use strict";
const http = require("node:http");

const server = http.createServer({ insecureHTTPParser: false, requireHostHeader: true }, (request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const seen = {
      method: request.method,
      target: request.url,
      body: Buffer.concat(parts).toString("latin1"),
      trailers: request.rawTrailers,
    };
    const text = Buffer.from(JSON.stringify(seen));
    response.writeHead(200, { "content-length": text.length });
    response.end(text);
  });
});
server.keepAliveTimeout = 2000;
server.headersTimeout = 2000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
