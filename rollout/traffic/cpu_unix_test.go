//go:build unix

package traffic_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout/traffic"
)

// frontVar makes of the test binary a proxy, so that what it costs can be told
// from what its caller and the model cost.
const frontVar = "SERIN_TEST_FRONT"

func TestMain(m *testing.M) {
	kind, target, proxy := strings.Cut(os.Getenv(frontVar), " ")
	if !proxy {
		os.Exit(m.Run())
	}
	h, err := front(kind, target)
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("http://" + l.Addr().String())
	mux := http.NewServeMux()
	mux.HandleFunc("/cpu", func(w http.ResponseWriter, _ *http.Request) {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprint(w, u.Utime.Nano()+u.Stime.Nano())
	})
	mux.Handle("/", h)
	go func() { _ = http.Serve(l, mux) }()
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent ends
}

// front returns one of the proxies that are compared.
func front(kind, target string) (http.Handler, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "reverseproxy": // as well tuned as it gets with its own settings
		return &httputil.ReverseProxy{
			Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(u); pr.SetXForwarded() },
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
				MaxIdleConnsPerHost: 4096, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
			},
			BufferPool: &pool{},
			ErrorLog:   log.New(io.Discard, "", 0),
		}, nil
	case "proxy":
		return traffic.Proxy(target)
	}
	candidate := split(1, 500)
	if kind == "candidate" {
		candidate = split(1, 10_000)
	}
	return traffic.New(traffic.Config{
		Arms:  map[string]traffic.Backend{"old": {URL: target}, "new": {URL: target}},
		Split: candidate,
	})
}

type pool struct{ sync.Pool }

func (p *pool) Get() []byte {
	if b, ok := p.Pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}
func (p *pool) Put(b []byte) { p.Pool.Put(&b) }

// startFront starts a proxy as a process of its own.
func startFront(b *testing.B, kind, target string) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), frontVar+"="+kind+" "+target)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// BenchmarkHandlerCPU compares what one request costs the process of a router
// and that of a tuned reverse proxy, in processor time of the proxy alone. The
// two take turns; the ratio is the median of the ratios of the turns.
func BenchmarkHandlerCPU(b *testing.B) {
	document := []byte(`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("word ", 40) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":50}}`)
	chunk := []byte(`data: {"id":"chatcmpl-9f8e7d6c5b4a","object":"chat.completion.chunk","created":1700000000,"model":"chat","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n")
	for _, m := range []struct {
		name     string
		requests int
		model    http.HandlerFunc
	}{
		{"document", 4000, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(document)
		}},
		{"stream of 64", 1000, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			for range 64 {
				_, _ = w.Write(chunk)
				_ = http.NewResponseController(w).Flush()
			}
			_, _ = io.WriteString(w, finish+done)
		}},
	} {
		model := httptest.NewServer(m.model)
		b.Cleanup(model.Close)
		plain := startFront(b, "reverseproxy", model.URL)
		for _, kind := range []string{"proxy", "baseline", "candidate"} {
			ours := startFront(b, kind, model.URL)
			for _, parallel := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/%s/at a time %d", m.name, kind, parallel), func(b *testing.B) {
					var ratios, mine, theirs []float64
					for b.Loop() {
						t := cpuOf(b, plain, m.requests, parallel)
						o := cpuOf(b, ours, m.requests, parallel)
						ratios, mine, theirs = append(ratios, o/t), append(mine, o), append(theirs, t)
					}
					for _, v := range [][]float64{ratios, mine, theirs} {
						slices.Sort(v)
					}
					b.ReportMetric(ratios[len(ratios)/2], "ratio")
					b.ReportMetric(mine[0]/theirs[0], "ratio-of-best")
					b.ReportMetric(mine[len(mine)/2], "µs/req")
					b.ReportMetric(theirs[len(theirs)/2], "µs/req-reverseproxy")
				})
			}
		}
	}
}

// cpuOf sends n requests through a proxy and returns the processor time that
// each took of it, in microseconds.
func cpuOf(b *testing.B, address string, n, parallel int) float64 {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	spent := func() float64 {
		resp, err := client.Get(address + "/cpu")
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			b.Fatal(err)
		}
		ns, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		return float64(ns) / 1e3
	}
	body := []byte(`{"model":"chat","stream":true,"messages":[{"role":"user","content":"` + strings.Repeat("x", 50) + `"}]}`)
	began := spent()
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() {
			for j := i; j < n; j += parallel {
				resp, err := client.Post(address+"/v1/chat/completions", "application/json", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				// A bare proxy breaks some streams off; that is not measured here.
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	wg.Wait()
	return (spent() - began) / float64(n)
}
