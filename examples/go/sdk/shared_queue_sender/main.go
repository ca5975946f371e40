// Puts every header of requests and responses into queues that plugins with the vm_id "receiver" have registered; the
// configuration is the part before "_request_headers" and "_response_headers" in their names. Rebuilt from the description
// of the Go SDK's example shared_queue.
package main

import (
	"encoding/json"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

const receiverVMID = "receiver"

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{} })
}

type plugin struct {
	types.DefaultPluginContext
	prefix string
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	prefix, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		proxywasm.LogCriticalf("the configuration must be the queues' prefix: %v", err)
		return types.OnPluginStartStatusFailed
	}
	p.prefix = string(prefix)
	return types.OnPluginStartStatusOK
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext {
	return &sender{prefix: p.prefix}
}

type sender struct {
	types.DefaultHttpContext
	prefix string
}

func (s *sender) OnHttpRequestHeaders(int, bool) types.Action {
	headers, err := proxywasm.GetHttpRequestHeaders()
	if err != nil {
		proxywasm.LogErrorf("the request headers cannot be read: %v", err)
	}
	send(s.prefix+"_request_headers", headers)
	return types.ActionContinue
}

func (s *sender) OnHttpResponseHeaders(int, bool) types.Action {
	headers, err := proxywasm.GetHttpResponseHeaders()
	if err != nil {
		proxywasm.LogErrorf("the response headers cannot be read: %v", err)
	}
	send(s.prefix+"_response_headers", headers)
	return types.ActionContinue
}

type entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func send(queue string, headers [][2]string) {
	id, err := proxywasm.ResolveSharedQueue(receiverVMID, queue)
	if err != nil {
		proxywasm.LogErrorf("queue %q of %q: %v", queue, receiverVMID, err)
		return
	}
	for _, header := range headers {
		data, err := json.Marshal(entry{header[0], header[1]})
		if err == nil {
			err = proxywasm.EnqueueSharedQueue(id, data)
		}
		if err != nil {
			proxywasm.LogErrorf("a header cannot be put into queue %q: %v", queue, err)
		}
	}
	proxywasm.LogInfof("enqueued %d headers into %s(queueID=%d)", len(headers), queue, id)
}
