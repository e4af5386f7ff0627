package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/loadtest"
)

// textFile writes a file and returns its name.
func textFile(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// received is a request that a server has received.
type received struct {
	path, body, session string
	proto               int
}

// listening returns a handler that answers with a stream, and what it has received.
func listening() (http.Handler, func() []received) {
	var mu sync.Mutex
	var all []received
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client sees it
		}
		mu.Lock()
		all = append(all, received{r.URL.Path, string(body), r.Header.Get("X-Session-ID"), r.ProtoMajor})
		mu.Unlock()
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"light"},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n") // the client sees it
	}), func() []received { mu.Lock(); defer mu.Unlock(); return slices.Clone(all) }
}

// TestSources sends the requests of each kind of flag, as many as -n.
func TestSources(t *testing.T) {
	share := textFile(t, "share.json", `[{"id":"a","conversations":[{"from":"human","value":"What is light, in a few words?"},{"from":"gpt","value":"It is a wave, and a particle."},{"from":"human","value":"And what is heat?"}]},
{"id":"b","conversations":[{"from":"gpt","value":"first"}]}]`)
	body := textFile(t, "body.json", `{"own":2}`)
	prompts := textFile(t, "prompts.jsonl", `{"prompt":"one","temperature":0.5}`)
	for name, test := range map[string]struct {
		args     []string
		want     func(all []received) bool
		messages string
	}{
		"body":      {[]string{"-body", `{"own":1}`}, func(all []received) bool { return all[0].body == `{"own":1}` && all[6].body == `{"own":1}` }, ""},
		"body file": {[]string{"-body-file", body}, func(all []received) bool { return all[0].body == `{"own":2}` }, ""},
		"ShareGPT": {[]string{"-prompts", share}, func(all []received) bool {
			return strings.Contains(all[0].body, "What is light") && strings.Contains(all[0].body, `"max_tokens":8`)
		}, "1 of 2 conversations; left out: 1 with fewer than two messages"},
		"conversations": {[]string{"-prompts", share, "-users", "1", "-conversations", "-session-header", "X-Session-ID"}, func(all []received) bool {
			return strings.Contains(all[1].body, `"content":"light"`) && strings.Contains(all[1].body, "heat") && all[0].session != "" && all[0].session == all[1].session && all[1].session != all[2].session
		}, "1 of 2 conversations"},
		"users with a rate": {[]string{"-users", "2", "-rate", "100", "-session-header", "X-Session-ID"}, func(all []received) bool {
			sessions := make(map[string]int)
			for _, one := range all {
				sessions[one.session]++
			}
			return len(sessions) == 2 && sessions[all[0].session] >= 3
		}, ""},
		"members": {[]string{"-prompts", prompts}, func(all []received) bool { return strings.Contains(all[0].body, `"temperature":0.5`) }, ""},
		"mix": {[]string{"-prompts", prompts, "-mix", "m1=1,m2=1", "-seed", "3"}, func(all []received) bool {
			return slices.ContainsFunc(all, func(r received) bool { return strings.Contains(r.body, `"model":"m1"`) }) &&
				slices.ContainsFunc(all, func(r received) bool { return strings.Contains(r.body, `"model":"m2"`) })
		}, ""},
	} {
		handler, got := listening()
		server := httptest.NewServer(handler)
		args := append([]string{"attack", "-url", server.URL, "-n", "7"}, test.args...)
		if !slices.Contains(args, "-users") {
			args = append(args, "-rate", "200")
		}
		report := filepath.Join(t.TempDir(), "r.json")
		_, out, errs := command(t, append(args, "-json", report)...)
		server.Close()
		if all := got(); len(all) != 7 || !test.want(all) || !strings.Contains(errs, test.messages) {
			t.Errorf("%s: %d requests: %+v\n%s%s", name, len(all), all, out, errs)
		}
		r := new(loadtest.Report)
		data, err := os.ReadFile(report)
		if err == nil {
			err = json.Unmarshal(data, r)
		}
		if err != nil || r.Sent != 7 || (len(r.Tags) == 2) != (name == "mix") {
			t.Errorf("%s: %v, %d sent, %d tags", name, err, r.Sent, len(r.Tags))
		}
	}
}

// TestConnections connects by TLS to a host that only a flag can resolve.
func TestConnections(t *testing.T) {
	handler, got := listening()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	authority := textFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	port := server.Listener.Addr().String()[strings.LastIndexByte(server.Listener.Addr().String(), ':')+1:]
	to := "example.com:" + port + ":127.0.0.1" // the name in the certificate
	for name, test := range map[string]struct {
		args  []string
		proto int // 0: no request arrives
	}{
		"HTTP/2":                {[]string{"-cacert", authority, "-resolve", to}, 2},
		"HTTP/1":                {[]string{"-cacert", authority, "-resolve", to, "-http2=false"}, 1},
		"insecure":              {[]string{"-insecure", "-resolve", to}, 2},
		"unknown authority":     {[]string{"-resolve", to}, 0},
		"resolves to elsewhere": {[]string{"-insecure", "-resolve", "example.com:" + port + ":127.0.0.2", "-timeout", "5s"}, 0},
	} {
		before := len(got())
		args := append([]string{"attack", "-url", "https://example.com:" + port, "-n", "1", "-rate", "100", "-timeout", "10s",
			"-server-metrics", "vllm=https://example.com:" + port + "/metrics"}, test.args...)
		_, out, errs := command(t, args...)
		all := got()[before:]
		page := func(r received) bool { return r.path == "/metrics" }
		if slices.ContainsFunc(all, page) != (test.proto > 0) {
			t.Errorf("%s: the metrics page is read: %v", name, test.proto == 0)
		}
		all = slices.DeleteFunc(all, page)
		switch {
		case test.proto == 0 && len(all) > 0:
			t.Errorf("%s: a request arrives\n%s%s", name, out, errs)
		case test.proto > 0 && (len(all) != 1 || all[0].proto != test.proto):
			t.Errorf("%s: %+v, want one by HTTP/%d\n%s%s", name, all, test.proto, out, errs)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]address{
		"host:443:10.0.0.7": {"host:443", "10.0.0.7:443"}, "HOST:1:::1": {"host:1", "[::1]:1"}, "host:80:[::1]": {"host:80", "[::1]:80"},
		"[::2]:80:127.0.0.1": {"[::2]:80", "127.0.0.1:80"},
	} {
		got, err := parseAddress(text)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(address{})); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"", "host", "host:443", "host:443:", "host:x:1.2.3.4", "host:0:1.2.3.4", ":443:1.2.3.4", "host:443:name", "host:443:[::1", "host:65536:1.2.3.4"} {
		if got, err := parseAddress(text); err == nil {
			t.Errorf("%s is accepted as %v", text, got)
		}
	}
}

func TestHeaderIsOneLine(t *testing.T) {
	if code, _, errs := command(t, "attack", "-header", "X-Key: a\nX-Other: b", "-dry-run"); code != wrongUse || !strings.Contains(errs, "-header: has a line end") {
		t.Errorf("%d: %s", code, errs)
	}
}
