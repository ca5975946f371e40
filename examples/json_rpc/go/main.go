// A JSON-RPC plugin in Go: `GOOS=wasip1 GOARCH=wasm go build`. Counts its calls in the host's
// key-value store, because every call is a new instance of the program.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

type message struct {
	Version string          `json:"jsonrpc"`
	ID      int             `json:"id"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

var input = bufio.NewReader(os.Stdin)

func read() message {
	line, err := input.ReadBytes('\n')
	if err != nil {
		fmt.Fprintln(os.Stderr, "no input:", err)
		os.Exit(1)
	}
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		fmt.Fprintln(os.Stderr, "bad input:", err)
		os.Exit(1)
	}
	return m
}

func write(m message) {
	m.Version = "2.0"
	line, _ := json.Marshal(m)
	os.Stdout.Write(append(line, '\n'))
}

// ask sends a request to the host and waits for its result.
func ask(id int, method string, params any) json.RawMessage {
	raw, _ := json.Marshal(params)
	write(message{ID: id, Method: method, Params: raw})
	answer := read()
	if answer.Error != nil {
		write(message{ID: 0, Error: answer.Error})
		os.Exit(0)
	}
	return answer.Result
}

func main() {
	switch request := read(); request.Method {
	case "count":
		var count int
		json.Unmarshal(ask(0, "kv.get", map[string]any{"key": "count"}), &count)
		count++
		ask(1, "kv.set", map[string]any{"key": "count", "value": count})
		result, _ := json.Marshal(count)
		write(message{ID: 0, Result: result})
	default:
		write(message{ID: 0, Error: json.RawMessage(`{"code":-32601,"message":"Method not found"}`)})
	}
}
