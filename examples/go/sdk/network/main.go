// A TCP filter: tells the log what passes over each connection and counts the connections that are complete.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

const counterName = "proxy_wasm_go.connection_counter"

// Bytes of a piece of data that are logged.
const maxShown = 1024

func main() {}

func init() {
	proxywasm.SetVMContext(&vmContext{})
}

type vmContext struct {
	types.DefaultVMContext
}

func (*vmContext) NewPluginContext(uint32) types.PluginContext {
	return &pluginContext{}
}

type pluginContext struct {
	types.DefaultPluginContext
	completed proxywasm.MetricCounter
}

func (ctx *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	ctx.completed = proxywasm.DefineCounterMetric(counterName)
	return types.OnPluginStartStatusOK
}

// NewTcpContext is what makes this a plugin of connections; one of requests has NewHttpContext.
func (ctx *pluginContext) NewTcpContext(uint32) types.TcpContext {
	return &connection{completed: ctx.completed}
}

type connection struct {
	types.DefaultTcpContext
	completed proxywasm.MetricCounter
}

func (*connection) OnNewConnection() types.Action {
	proxywasm.LogInfof("new connection from %s", property("source", "address"))
	return types.ActionContinue
}

func (*connection) OnDownstreamData(size int, end bool) types.Action {
	show("downstream", size, end, proxywasm.GetDownstreamData)
	return types.ActionContinue
}

func (*connection) OnUpstreamData(size int, end bool) types.Action {
	show("upstream "+property("upstream", "address"), size, end, proxywasm.GetUpstreamData)
	return types.ActionContinue
}

func (*connection) OnDownstreamClose(peer types.PeerType) {
	proxywasm.LogInfof("downstream connection closed by %s", nameOf(peer))
}

func (*connection) OnUpstreamClose(peer types.PeerType) {
	proxywasm.LogInfof("upstream connection closed by %s", nameOf(peer))
}

func (ctx *connection) OnStreamDone() {
	ctx.completed.Increment(1)
	proxywasm.LogInfo("connection complete")
}

func show(from string, size int, end bool, read func(start, most int) ([]byte, error)) {
	var data []byte
	if size > 0 {
		var err error
		if data, err = read(0, min(size, maxShown)); err != nil {
			proxywasm.LogErrorf("data of %s cannot be read: %v", from, err)
			return
		}
	}
	if end {
		from += ", the last of it"
	}
	proxywasm.LogInfof("%d bytes from %s: %q", size, from, data)
}

func property(path ...string) string {
	value, err := proxywasm.GetProperty(path)
	if err != nil {
		return "somewhere"
	}
	return string(value)
}

func nameOf(peer types.PeerType) string {
	switch peer {
	case types.PeerTypeLocal:
		return "the gateway"
	case types.PeerTypeRemote:
		return "the peer"
	}
	return "its end of data"
}
