// Counts requests in a number that all workers share. Rebuilt from the description of the Go SDK's example of this name.
package main

import (
	"encoding/binary"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

const key = "shared_data_key"

func init() {
	proxywasm.SetVMContext(&vm{})
}

type vm struct {
	types.DefaultVMContext
}

func (*vm) OnVMStart(int) types.OnVMStartStatus {
	if _, _, err := proxywasm.GetSharedData(key); err == nil {
		return types.OnVMStartStatusOK // another worker was first
	}
	if err := proxywasm.SetSharedData(key, make([]byte, 8), 0); err != nil {
		proxywasm.LogWarnf("the number cannot be set: %v", err)
	}
	return types.OnVMStartStatusOK
}

func (*vm) NewPluginContext(uint32) types.PluginContext {
	return &plugin{}
}

type plugin struct {
	types.DefaultPluginContext
}

func (*plugin) NewHttpContext(uint32) types.HttpContext {
	return &counting{}
}

type counting struct {
	types.DefaultHttpContext
}

func (*counting) OnHttpRequestHeaders(int, bool) types.Action {
	for {
		value, err := increment()
		if err == nil {
			proxywasm.LogInfof("shared value: %d", value)
			return types.ActionContinue
		}
		if err != types.ErrorStatusCasMismatch {
			proxywasm.LogErrorf("the number cannot be counted up: %v", err)
			return types.ActionContinue
		}
	}
}

// increment fails with ErrorStatusCasMismatch when another worker wrote in between.
func increment() (uint64, error) {
	bytes, cas, err := proxywasm.GetSharedData(key)
	if err != nil {
		return 0, err
	}
	value := binary.LittleEndian.Uint64(bytes) + 1
	return value, proxywasm.SetSharedData(key, binary.LittleEndian.AppendUint64(nil, value), cas)
}
