package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// play is the life of a process that another one has started.
func play(role, model string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	switch role {
	case "load":
		return answer(address, generate)
	case "model":
		go func() { _ = http.Serve(l, http.HandlerFunc(serveModel)) }()
	case "pump":
		go pump(l, model)
	default:
		h, err := handler(role, model)
		if err != nil {
			return err
		}
		go func() { _ = http.Serve(l, h) }()
	}
	return answer(address, observe)
}

// handler returns a hop that is a handler.
func handler(name, model string) (http.Handler, error) {
	target := "http://" + model
	weight := strategies.Weight(0)
	switch name {
	case "reverseproxy":
		return reverseProxy(target)
	case "proxy":
		return traffic.Proxy(target)
	case "candidate":
		weight = strategies.Full
	case "router":
	default:
		return nil, fmt.Errorf("hop: %q is unknown, want reverseproxy, proxy, router, candidate, haproxy or pump", name)
	}
	r, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{"old": {URL: target}, "new": {URL: target}},
		Split: strategies.Split{Generation: 1, Arms: []strategies.Arm{
			{Name: "old", Weight: strategies.Full - weight}, {Name: "new", Weight: weight},
		}},
	})
	if err != nil {
		return nil, err
	}
	rec, err := analysis.NewRecorder(analysis.Plan{}, "old", "new")
	if err != nil {
		return nil, err
	}
	r.Measure(rec)
	return r, nil
}

// reverseProxy returns a httputil.ReverseProxy with the settings of traffic.Proxy.
// Without full duplex it breaks answers off that begin before the request was read
// (golang/go#40747).
func reverseProxy(target string) (http.Handler, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	p := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(u); pr.SetXForwarded() },
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 4096, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: 5 * time.Second, ExpectContinueTimeout: time.Second, DisableCompression: true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		BufferPool: &buffers{},
		ErrorLog:   log.New(io.Discard, "", 0),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		p.ServeHTTP(w, r)
	}), nil
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

// pump copies bytes between each connection and one of its own to the model server.
func pump(l net.Listener, model string) {
	for {
		front, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer front.Close()
			back, err := net.Dial("tcp", model)
			if err != nil {
				return
			}
			defer back.Close()
			go func() {
				defer back.Close()
				move(back, front)
			}()
			move(front, back)
		}()
	}
}

// move copies through memory, as a hop does that looks at what passes.
func move(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var (
	document = []byte(`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("word ", 40) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":50}}`)
	chunk  = []byte(`data: {"id":"chatcmpl-9f8e7d6c5b4a","object":"chat.completion.chunk","created":1700000000,"model":"chat","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n")
	ending = []byte(`data: {"id":"chatcmpl-9f8e7d6c5b4a","object":"chat.completion.chunk","created":1700000000,"model":"chat","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
)

// chunks is how many chunks of content a stream has.
const chunks = 64

// serveModel is a server that generates in no time.
func serveModel(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if !bytes.Contains(body, []byte(`"stream":true`)) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	for range chunks {
		_, _ = w.Write(chunk)
		_ = flush()
	}
	_, _ = w.Write(ending)
}
