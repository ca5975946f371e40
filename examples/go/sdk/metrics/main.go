// Counts requests by the value of their header my-custom-header; value and reporter are part of the counter's name, from
// where the host takes its labels. Rebuilt from the description of the Go SDK's example of this name.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

const (
	header   = "my-custom-header"
	reporter = "wasmgosdk"
)

func init() {
	proxywasm.SetHttpContext(func(uint32) types.HttpContext { return &counting{} })
}

var counters = map[string]proxywasm.MetricCounter{}

type counting struct {
	types.DefaultHttpContext
}

func (*counting) OnHttpRequestHeaders(int, bool) types.Action {
	value, err := proxywasm.GetHttpRequestHeader(header)
	if err != nil {
		return types.ActionContinue
	}
	counter, known := counters[value]
	if !known {
		counter = proxywasm.DefineCounterMetric("custom_header_value_counts_value=" + value + "_reporter=" + reporter)
		counters[value] = counter
	}
	counter.Increment(1)
	return types.ActionContinue
}
