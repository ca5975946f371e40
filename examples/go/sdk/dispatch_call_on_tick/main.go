// Calls another service every 100 ms, by turns on two paths, and logs what it answers. Rebuilt from the description of
// the Go SDK's example of this name.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

const (
	service    = "web_service"
	tickPeriod = 100 // milliseconds
	timeout    = 5000
)

func init() {
	proxywasm.SetPluginContext(func(contextID uint32) types.PluginContext {
		return &plugin{contextID: contextID}
	})
}

type plugin struct {
	types.DefaultPluginContext
	contextID uint32
	calls     int
	answers   int
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	if err := proxywasm.SetTickPeriodMilliSeconds(tickPeriod); err != nil {
		proxywasm.LogCriticalf("no tick period: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) OnTick() {
	path := "/ok"
	if p.calls%2 == 1 {
		path = "/fail"
	}
	p.calls++
	request := [][2]string{
		{":method", "GET"}, {":path", path}, {":authority", "web.example"}, {"accept", "*/*"},
	}
	if _, err := proxywasm.DispatchHttpCall(service, request, nil, nil, timeout, p.onAnswer); err != nil {
		proxywasm.LogErrorf("dispatching to %s failed: %v", service, err)
	}
}

func (p *plugin) onAnswer(numHeaders, bodySize, numTrailers int) {
	p.answers++
	proxywasm.LogInfof("called %d for contextID=%d", p.answers, p.contextID)
	headers, err := proxywasm.GetHttpCallResponseHeaders()
	if err != nil {
		proxywasm.LogErrorf("the answer has no headers: %v", err)
		return
	}
	for _, header := range headers {
		if header[0] == ":status" {
			proxywasm.LogInfof("response header for the dispatched call: %s: %s", header[0], header[1])
		}
	}
}

// The requests of the listener that starts this plugin pass unchanged.
func (*plugin) NewHttpContext(uint32) types.HttpContext {
	return &types.DefaultHttpContext{}
}
