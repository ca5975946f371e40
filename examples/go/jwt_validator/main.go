// Lets only requests with a JSON Web Token through and tells the upstream who the user is.
package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// A plugin is a library: main never runs, so the registration is in init.
func main() {}

func init() {
	proxywasm.SetVMContext(&vmContext{})
}

type vmContext struct {
	types.DefaultVMContext
}

func (*vmContext) NewPluginContext(contextID uint32) types.PluginContext {
	return &pluginContext{}
}

type pluginContext struct {
	types.DefaultPluginContext
	verifier verifier
}

type httpContext struct {
	types.DefaultHttpContext
	verifier verifier
}

func (ctx *pluginContext) OnPluginStart(pluginConfigurationSize int) types.OnPluginStartStatus {
	data, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		proxywasm.LogErrorf("failed to get config: %v", err)
		return types.OnPluginStartStatusFailed
	}

	var config map[string]string
	if err := json.Unmarshal(data, &config); err != nil {
		proxywasm.LogErrorf("failed to parse config: %v", err)
		return types.OnPluginStartStatusFailed
	}

	ctx.verifier, err = newVerifier(config["algorithm"], config["secret"])
	if err != nil {
		proxywasm.LogErrorf("bad config: %v", err)
		return types.OnPluginStartStatusFailed
	}
	if !ctx.verifier.enabled() {
		proxywasm.LogWarn("no algorithm configured: signatures are NOT checked")
	}
	return types.OnPluginStartStatusOK
}

func (ctx *pluginContext) NewHttpContext(contextID uint32) types.HttpContext {
	return &httpContext{verifier: ctx.verifier}
}

func (ctx *httpContext) OnHttpRequestHeaders(numHeaders int, endOfStream bool) types.Action {
	auth, err := proxywasm.GetHttpRequestHeader("Authorization")
	if err != nil || !strings.HasPrefix(auth, "Bearer ") {
		return ctx.sendUnauthorized("Missing or invalid Authorization header")
	}

	parts := strings.Split(strings.TrimPrefix(auth, "Bearer "), ".")
	if len(parts) != 3 {
		return ctx.sendUnauthorized("Invalid token format")
	}

	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ctx.sendUnauthorized("Invalid token encoding")
	}

	var claims map[string]interface{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return ctx.sendUnauthorized("Invalid token payload")
	}

	if !ctx.verifier.valid(parts) {
		return ctx.sendUnauthorized("Invalid token signature")
	}
	if exp, ok := claims["exp"].(float64); ok && ctx.verifier.enabled() && float64(time.Now().Unix()) >= exp {
		return ctx.sendUnauthorized("Token expired")
	}

	// A client must not be able to name the user itself.
	if err := proxywasm.RemoveHttpRequestHeader("X-User-ID"); err != nil {
		proxywasm.LogErrorf("failed to remove header: %v", err)
	}
	if sub, ok := claims["sub"].(string); ok {
		if err := proxywasm.AddHttpRequestHeader("X-User-ID", sub); err != nil {
			proxywasm.LogErrorf("failed to add header: %v", err)
		}
	}

	proxywasm.LogInfof("JWT validated for user: %v", claims["sub"])
	return types.ActionContinue
}

// message is put into JSON as it is: pass literals only.
func (ctx *httpContext) sendUnauthorized(message string) types.Action {
	body := []byte(`{"error": "` + message + `"}`)
	headers := [][2]string{
		{"Content-Type", "application/json"},
		{"WWW-Authenticate", "Bearer"},
	}
	if err := proxywasm.SendHttpResponse(401, headers, body, -1); err != nil {
		proxywasm.LogErrorf("failed to send response: %v", err)
	}
	return types.ActionPause
}
