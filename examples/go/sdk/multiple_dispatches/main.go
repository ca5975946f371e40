// Makes ten calls to another service while a response waits, and lets it go after the last answer. Rebuilt from the
// description of the Go SDK's example of this name.
package main

import (
	"strconv"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

const (
	service = "web_service"
	calls   = 10
	timeout = 5000
)

func init() {
	proxywasm.SetHttpContext(func(contextID uint32) types.HttpContext {
		return &stream{contextID: contextID}
	})
}

type stream struct {
	types.DefaultHttpContext
	contextID uint32
	pending   int
}

func (s *stream) OnHttpResponseHeaders(int, bool) types.Action {
	for i := range calls {
		request := [][2]string{
			{":method", "GET"}, {":path", "/" + strconv.Itoa(i)}, {":authority", "web.example"}, {"accept", "*/*"},
		}
		if _, err := proxywasm.DispatchHttpCall(service, request, nil, nil, timeout, s.onAnswer); err != nil {
			proxywasm.LogErrorf("dispatching to %s failed: %v", service, err)
			continue
		}
		s.pending++
	}
	if s.pending == 0 {
		return types.ActionContinue
	}
	return types.ActionPause
}

func (s *stream) onAnswer(numHeaders, bodySize, numTrailers int) {
	s.pending--
	if s.pending > 0 {
		proxywasm.LogInfof("pending dispatched requests: %d", s.pending)
		return
	}
	if err := proxywasm.AddHttpResponseHeader("total-dispatched", strconv.Itoa(calls)); err != nil {
		proxywasm.LogErrorf("the header cannot be added: %v", err)
	}
	proxywasm.LogInfof("response resumed after processed %d dispatched request", calls)
	if err := proxywasm.ResumeHttpResponse(); err != nil {
		proxywasm.LogErrorf("the response cannot go on: %v", err)
	}
}
