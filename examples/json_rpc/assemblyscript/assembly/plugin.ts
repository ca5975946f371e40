// A JSON-RPC plugin in AssemblyScript: standard streams of WASI, and json-as for the messages.
//
//   hello              -> {"message":"Hello from AssemblyScript!"}
//   summary [1, 2, …]  -> {"count","mean","highest"}
//   stamp "text"       -> {"text","at"}, with the time that the host method time.now tells

import { JSON } from "json-as";
import { readLine, writeLine } from "./lines";

@json
class Greeting {
  message: string = "Hello from AssemblyScript!";
}

@json
class Summary {
  count: i32 = 0;
  mean: f64 = 0;
  highest: f64 = 0;
}

@json
class Stamped {
  text: string = "";
  at: string = "";
}

@json
class RpcError {
  code: i32 = 0;
  message: string = "";
}

function answer(result: string): void {
  writeLine(`{"jsonrpc":"2.0","id":0,"result":${result}}`);
}

function refuse(code: i32, message: string): void {
  writeLine(`{"jsonrpc":"2.0","id":0,"error":${JSON.stringify<RpcError>({ code, message })}}`);
}

/** The host's result; null when it has answered with an error, which is then the caller's too. */
function ask(method: string, params: string): JSON.Value | null {
  writeLine(`{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`);
  const line = readLine();
  if (line == null) {
    refuse(-32603, "the host ended the input");
    return null;
  }
  const reply = JSON.parse<JSON.Obj>(line);
  const error = reply.get("error");
  if (error != null) {
    writeLine(`{"jsonrpc":"2.0","id":0,"error":${JSON.stringify(error)}}`);
    return null;
  }
  return reply.get("result");
}

function summary(params: JSON.Value): void {
  if (params.type != JSON.Types.Array) return refuse(-32602, "Invalid params");
  const values = params.get<JSON.Arr>();
  const result = new Summary();
  let sum: f64 = 0;
  for (let i = 0; i < values.length; i++) {
    if (values.at(i).type != JSON.Types.F64) return refuse(-32602, "Invalid params");
    const number = values.at(i).get<f64>();
    if (i == 0 || number > result.highest) result.highest = number;
    sum += number;
  }
  result.count = values.length;
  if (result.count > 0) result.mean = sum / result.count;
  answer(JSON.stringify(result));
}

function stamp(params: JSON.Value): void {
  if (params.type != JSON.Types.String) return refuse(-32602, "Invalid params");
  const now = ask("time.now", "null");
  if (now == null) return;
  const at = now.get<JSON.Obj>().get("rfc3339")!.get<string>();
  answer(JSON.stringify<Stamped>({ text: params.get<string>(), at }));
}

function main(): void {
  const line = readLine();
  if (line == null) return;
  const request = JSON.parse<JSON.Obj>(line);
  const method = request.get("method")!.get<string>();
  const params = request.get("params")!;
  process.stderr.write("called: " + method + "\n");
  if (method == "hello") answer(JSON.stringify(new Greeting()));
  else if (method == "summary") summary(params);
  else if (method == "stamp") stamp(params);
  else refuse(-32601, "Method not found");
}

main();
