// Holds every request until the next tick, which lets one go. Rebuilt from the description of the Go SDK's example of
// this name.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

const tickPeriod = 1000 // milliseconds

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{} })
}

type plugin struct {
	types.DefaultPluginContext
	waiting []uint32 // contexts of requests, the oldest first
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	if err := proxywasm.SetTickPeriodMilliSeconds(tickPeriod); err != nil {
		proxywasm.LogCriticalf("no tick period: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

// OnTick runs in the plugin's own context; the host has to be told whose request is meant. A request whose client went
// away has no context any more, so the next one gets its turn.
func (p *plugin) OnTick() {
	for len(p.waiting) > 0 {
		contextID := p.waiting[0]
		p.waiting = p.waiting[1:]
		if err := proxywasm.SetEffectiveContext(contextID); err != nil {
			continue
		}
		proxywasm.LogInfof("resume request with contextID=%d", contextID)
		if err := proxywasm.ResumeHttpRequest(); err != nil {
			proxywasm.LogErrorf("the request cannot go on: %v", err)
		}
		return
	}
}

func (p *plugin) NewHttpContext(contextID uint32) types.HttpContext {
	return &request{plugin: p, contextID: contextID}
}

type request struct {
	types.DefaultHttpContext
	plugin    *plugin
	contextID uint32
}

func (r *request) OnHttpRequestHeaders(int, bool) types.Action {
	proxywasm.LogInfof("postpone request with contextID=%d", r.contextID)
	r.plugin.waiting = append(r.plugin.waiting, r.contextID)
	return types.ActionPause
}
