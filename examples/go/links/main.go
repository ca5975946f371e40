// A link shortener: POST /links keeps a URL under a short code, GET /l/{code} leads there.
package main

import (
	"encoding/json"
	"net/url"
	"unsafe"
)

// A plugin is a library: main never runs.
func main() {}

const codeLength = 8

type request struct {
	Params map[string]string `json:"params"`
	Body   json.RawMessage   `json:"body"`
}

type reply struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"`
}

func refusal(status int, message string) reply {
	return reply{status, map[string]string{}, map[string]string{"error": message}}
}

func create(r request) reply {
	var wanted struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(r.Body, &wanted); err != nil {
		return refusal(400, "the body is no object with a url: "+err.Error())
	}
	target, err := url.Parse(wanted.URL)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
		return refusal(422, "url is no absolute http or https URL")
	}
	code := hash(wanted.URL)[:codeLength]
	if !setState("link:"+code, wanted.URL) {
		return refusal(503, "the link was not kept")
	}
	return reply{201, map[string]string{"location": "/l/" + code}, map[string]string{"code": code, "url": wanted.URL}}
}

func follow(r request) reply {
	target, known := state("link:" + r.Params["code"])
	if !known {
		return refusal(404, "there is no such link")
	}
	return reply{302, map[string]string{"location": target}, nil}
}

func answer(input unsafe.Pointer, size uint32, handle func(request) reply) unsafe.Pointer {
	var r request
	if err := json.Unmarshal(unsafe.Slice((*byte)(input), size), &r); err != nil {
		return give(refusal(400, err.Error()))
	}
	return give(handle(r))
}

//go:wasmexport create_link
func createLink(input unsafe.Pointer, size uint32) unsafe.Pointer {
	return answer(input, size, create)
}

//go:wasmexport follow_link
func followLink(input unsafe.Pointer, size uint32) unsafe.Pointer {
	return answer(input, size, follow)
}
