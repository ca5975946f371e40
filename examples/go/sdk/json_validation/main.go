// Lets only JSON objects pass that have all keys of the configuration: {"requiredKeys": ["id", "token"]}. Rebuilt from
// the description of the Go SDK's example of this name.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

type configuration struct {
	RequiredKeys []string `json:"requiredKeys"`
}

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{} })
}

type plugin struct {
	types.DefaultPluginContext
	configuration configuration
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	text, err := proxywasm.GetPluginConfiguration()
	if err != nil && err != types.ErrorStatusNotFound {
		proxywasm.LogCriticalf("the configuration cannot be read: %v", err)
		return types.OnPluginStartStatusFailed
	}
	if len(text) == 0 {
		return types.OnPluginStartStatusOK
	}
	if err := json.Unmarshal(text, &p.configuration); err != nil {
		proxywasm.LogCriticalf("the configuration is not JSON: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext {
	return &validator{requiredKeys: p.configuration.RequiredKeys}
}

type validator struct {
	types.DefaultHttpContext
	requiredKeys []string
}

func (v *validator) OnHttpRequestHeaders(int, bool) types.Action {
	contentType, err := proxywasm.GetHttpRequestHeader("content-type")
	if err != nil || !strings.HasPrefix(contentType, "application/json") {
		return refuse("content-type must be application/json")
	}
	return types.ActionContinue
}

func (v *validator) OnHttpRequestBody(bodySize int, endOfStream bool) types.Action {
	if !endOfStream {
		return types.ActionPause
	}
	body, err := proxywasm.GetHttpRequestBody(0, bodySize)
	if err != nil {
		proxywasm.LogErrorf("the body cannot be read: %v", err)
		return refuse("the body cannot be read")
	}
	if err := v.check(body); err != nil {
		proxywasm.LogInfof("invalid payload: %v", err)
		return refuse("invalid payload: " + err.Error())
	}
	return types.ActionContinue
}

func (v *validator) check(body []byte) error {
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil || object == nil {
		return errors.New("not a JSON object")
	}
	for _, key := range v.requiredKeys {
		if _, found := object[key]; !found {
			return fmt.Errorf("the key %q is missing", key)
		}
	}
	return nil
}

func refuse(reason string) types.Action {
	if err := proxywasm.SendHttpResponse(403, nil, []byte(reason), -1); err != nil {
		proxywasm.LogErrorf("the answer cannot be sent: %v", err)
	}
	return types.ActionPause
}
