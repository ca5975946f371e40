// Logs the configuration of its virtual machine and its own. Rebuilt from the description of the Go SDK's example of
// this name.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetVMContext(&vm{})
}

type vm struct {
	types.DefaultVMContext
}

func (*vm) OnVMStart(int) types.OnVMStartStatus {
	data, err := proxywasm.GetVMConfiguration()
	if err != nil {
		proxywasm.LogCriticalf("the VM's configuration cannot be read: %v", err)
		return types.OnVMStartStatusFailed
	}
	proxywasm.LogInfof("vm config: %s", data)
	return types.OnVMStartStatusOK
}

func (*vm) NewPluginContext(uint32) types.PluginContext {
	return &plugin{}
}

type plugin struct {
	types.DefaultPluginContext
}

func (*plugin) OnPluginStart(int) types.OnPluginStartStatus {
	data, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		proxywasm.LogCriticalf("the plugin's configuration cannot be read: %v", err)
		return types.OnPluginStartStatusFailed
	}
	proxywasm.LogInfof("plugin config: %s", data)
	return types.OnPluginStartStatusOK
}

func (*plugin) NewHttpContext(uint32) types.HttpContext {
	return &types.DefaultHttpContext{}
}
