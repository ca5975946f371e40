// Sends half of all requests to the canary: their authority gets the suffix -canary, by which the host routes. A byte of
// configuration replaces the dice: an even one sends everything there. Rebuilt from the description of the Go SDK's
// example of this name.
package main

import (
	"math/rand/v2"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

const suffix = "-canary"

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{} })
}

type plugin struct {
	types.DefaultPluginContext
	fixed *byte // from the configuration, instead of dice
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	if err != nil && err != types.ErrorStatusNotFound {
		proxywasm.LogCriticalf("the configuration cannot be read: %v", err)
		return types.OnPluginStartStatusFailed
	}
	if len(configuration) > 0 {
		p.fixed = &configuration[0]
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) roll() byte {
	if p.fixed != nil {
		return *p.fixed
	}
	return byte(rand.UintN(256))
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext {
	return &router{canary: p.roll()%2 == 0}
}

type router struct {
	types.DefaultHttpContext
	canary bool
}

func (r *router) OnHttpRequestHeaders(int, bool) types.Action {
	if !r.canary {
		return types.ActionContinue
	}
	authority, err := proxywasm.GetHttpRequestHeader(":authority")
	if err != nil {
		proxywasm.LogErrorf("the request has no authority: %v", err)
		return types.ActionContinue
	}
	if err := proxywasm.ReplaceHttpRequestHeader(":authority", authority+suffix); err != nil {
		proxywasm.LogErrorf("the authority cannot be changed: %v", err)
	}
	return types.ActionContinue
}
