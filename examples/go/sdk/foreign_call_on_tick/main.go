// Calls a function of the host that is no part of the ABI: every second it compresses a text. Rebuilt from the
// description of the Go SDK's example of this name.
package main

import (
	"encoding/hex"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

const (
	function   = "compress"
	argument   = "hello world!"
	tickPeriod = 1000 // milliseconds
)

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{} })
}

type plugin struct {
	types.DefaultPluginContext
	calls int
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	if err := proxywasm.SetTickPeriodMilliSeconds(tickPeriod); err != nil {
		proxywasm.LogCriticalf("no tick period: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) OnTick() {
	p.calls++
	result, err := proxywasm.CallForeignFunction(function, []byte(argument))
	if err != nil {
		proxywasm.LogErrorf("foreign function (%s) failed: %v", function, err)
		return
	}
	proxywasm.LogInfof("foreign function (%s) called: %d, result: %s", function, p.calls, hex.EncodeToString(result))
}

// The requests of the listener that starts this plugin pass unchanged.
func (*plugin) NewHttpContext(uint32) types.HttpContext {
	return &types.DefaultHttpContext{}
}
