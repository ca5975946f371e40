// Asks for the header that the route's metadata name under "auth" and answers 401 where it is missing; a route without
// such metadata is open. Rebuilt from the description of the Go SDK's example of this name.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

var authHeaderPath = []string{"xds", "route_metadata", "filter_metadata", "envoy.filters.http.wasm", "auth"}

func init() {
	proxywasm.SetHttpContext(func(contextID uint32) types.HttpContext {
		return &guard{contextID: contextID}
	})
}

type guard struct {
	types.DefaultHttpContext
	contextID uint32
}

func (g *guard) OnHttpRequestHeaders(int, bool) types.Action {
	header, err := proxywasm.GetProperty(authHeaderPath)
	if err != nil {
		proxywasm.LogInfo("no auth header for route")
		return types.ActionContinue
	}
	proxywasm.LogInfof("auth header is %q", header)
	if _, err := proxywasm.GetHttpRequestHeader(string(header)); err == nil {
		return types.ActionContinue
	}
	if err := proxywasm.SendHttpResponse(401, nil, nil, 16); err != nil {
		proxywasm.LogErrorf("the answer cannot be sent: %v", err)
	}
	return types.ActionPause
}

func (g *guard) OnHttpStreamDone() {
	proxywasm.LogInfof("%d finished", g.contextID)
}
