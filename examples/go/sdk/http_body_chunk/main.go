// Looks for a word in a request's body, chunk by chunk, and answers 403 as soon as it stands in one of them; nothing
// reaches the upstream before the whole body is clean. Rebuilt from the description of the Go SDK's example of this name.
package main

import (
	"bytes"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

const pattern = "pattern"

func init() {
	proxywasm.SetHttpContext(func(uint32) types.HttpContext { return &scanner{} })
}

type scanner struct {
	types.DefaultHttpContext
	scanned int // bytes of the buffered body that were looked at
	chunks  int
}

// OnHttpRequestBody is called with the size of everything that was held back so far, so a chunk is what was added.
func (s *scanner) OnHttpRequestBody(bodySize int, endOfStream bool) types.Action {
	if bodySize > s.scanned {
		chunk, err := proxywasm.GetHttpRequestBody(s.scanned, bodySize-s.scanned)
		if err != nil {
			proxywasm.LogErrorf("the body cannot be read: %v", err)
			return types.ActionContinue
		}
		s.scanned += len(chunk)
		s.chunks++
		if bytes.Contains(chunk, []byte(pattern)) {
			return s.refuse()
		}
	}
	if !endOfStream {
		return types.ActionPause
	}
	proxywasm.LogInfof("pattern not found")
	return types.ActionContinue
}

func (s *scanner) refuse() types.Action {
	proxywasm.LogInfof("pattern found in chunk: %d", s.chunks)
	headers := [][2]string{{"powered-by", "proxy-wasm-go-sdk"}}
	if err := proxywasm.SendHttpResponse(403, headers, []byte("pattern found"), -1); err != nil {
		proxywasm.LogErrorf("the answer cannot be sent: %v", err)
	}
	return types.ActionPause
}
