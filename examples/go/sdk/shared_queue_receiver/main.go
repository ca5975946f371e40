// Takes out of a queue what shared_queue_sender put in; the queue's name is the configuration. Rebuilt from the
// description of the Go SDK's example shared_queue.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetPluginContext(func(contextID uint32) types.PluginContext {
		return &receiver{contextID: contextID}
	})
}

type receiver struct {
	types.DefaultPluginContext
	contextID uint32
	queue     string
}

func (r *receiver) OnPluginStart(int) types.OnPluginStartStatus {
	name, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		proxywasm.LogCriticalf("the configuration must be the queue's name: %v", err)
		return types.OnPluginStartStatusFailed
	}
	r.queue = string(name)
	id, err := proxywasm.RegisterSharedQueue(r.queue)
	if err != nil {
		proxywasm.LogCriticalf("queue %q cannot be registered: %v", r.queue, err)
		return types.OnPluginStartStatusFailed
	}
	proxywasm.LogInfof("queue %q registered as queueID=%d by contextID=%d", r.queue, id, r.contextID)
	return types.OnPluginStartStatusOK
}

// OnQueueReady may come where another worker was quicker; then the queue is empty.
func (r *receiver) OnQueueReady(id uint32) {
	data, err := proxywasm.DequeueSharedQueue(id)
	switch err {
	case nil:
		proxywasm.LogInfof("(contextID=%d) dequeued data from %s(queueID=%d): %s", r.contextID, r.queue, id, data)
	case types.ErrorStatusEmpty:
	default:
		proxywasm.LogCriticalf("queue %d cannot be read: %v", id, err)
	}
}

// The requests of the listener that starts this plugin pass unchanged.
func (*receiver) NewHttpContext(uint32) types.HttpContext {
	return &types.DefaultHttpContext{}
}
