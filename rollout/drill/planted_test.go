package drill_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest/workload"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cache"
	"github.com/serin-go/serin/strategies"
)

// buffer is an output.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) sink(context.Context) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes()), nil
}

// through returns the options for a text that a redactor has gone over before it is in an
// output in some form.
func through(redact func(string) string, form func(string) string) drill.PlantedOptions {
	var out buffer
	return drill.PlantedOptions{
		Send: func(_ context.Context, text string) error {
			_, err := io.WriteString(&out, form(redact(text)))
			return err
		},
		Sinks:  map[string]func(context.Context) ([]byte, error){"log": out.sink},
		Settle: time.Millisecond,
	}
}

func whole(t testing.TB) *privacy.Redactor {
	t.Helper()
	r, err := privacy.NewRedactor(privacy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func asIs(s string) string { return s }

func TestPlanted(t *testing.T) {
	r := whole(t)
	for range 200 { // values are random
		res := drill.Planted(through(r.Text, asIs)).Check(t.Context())
		if res.Status != checks.Pass || res.Evidence["planted"] != "12" {
			t.Fatalf("%v: %s, %v", res.Status, res.Summary, res.Err)
		}
	}
	for name, form := range map[string]func(string) string{
		"as it is": asIs,
		"JSON":     func(s string) string { b, _ := json.Marshal(s); return string(b) },
		"base64":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"shifted":  func(s string) string { return base64.URLEncoding.EncodeToString([]byte("x" + s)) },
		"hex":      func(s string) string { return hex.EncodeToString([]byte(s)) },
		"bare":     func(s string) string { return strings.NewReplacer(" ", "", "-", "").Replace(s) },
	} {
		res := drill.Planted(through(asIs, form)).Check(t.Context())
		if res.Status != checks.Fail || !strings.Contains(res.Summary, "log (") {
			t.Errorf("%s: %v: %s, %v", name, res.Status, res.Summary, res.Err)
		}
	}
	groups := regexp.MustCompile(`[0-9A-Za-z]{4}`)
	for kind, form := range map[string]func(string) string{
		"e-mail":  func(s string) string { return strings.ReplaceAll(s, "@", `\u0040`) },
		"e-mail ": func(s string) string { return strings.ReplaceAll(s, "@", "&#64;") },
		"e-mail,": func(s string) string { return strings.ReplaceAll(s, "@", "=40") },
		"IBAN":    func(s string) string { return groups.ReplaceAllString(s, "$0 ") },
		"MAC":     func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, ":", "-")) },
		"phone":   func(s string) string { return strings.ReplaceAll(s, "+49 151 ", "0151/") },
		"SSN":     func(s string) string { return strings.ReplaceAll(s, "-", ".") },
	} {
		one := strings.Trim(kind, " ,")
		res := drill.Planted(through(func(s string) string { return lineOf(s, one) }, form)).Check(t.Context())
		if res.Status != checks.Fail || !strings.Contains(res.Summary, "log ("+one+")") {
			t.Errorf("%s: %v: %s, %v", kind, res.Status, res.Summary, res.Err)
		}
	}
	// A redactor that lacks one kind is found.
	for _, k := range privacy.Kinds() {
		if k == privacy.PrivateKey {
			continue
		}
		kinds := slices.DeleteFunc(privacy.Kinds(), func(o privacy.Kind) bool { return o == k })
		part, err := privacy.NewRedactor(privacy.Config{Kinds: kinds})
		if err != nil {
			t.Fatal(err)
		}
		res := drill.Planted(through(part.Text, asIs)).Check(t.Context())
		if res.Status != checks.Fail && k != privacy.Credentials { // whose password has a host after it, as an address
			t.Errorf("without %s: %v: %s", k, res.Status, res.Summary)
		}
	}
}

// lineOf returns the marker and the line with the value of a kind.
func lineOf(text, kind string) string {
	begins := map[string]string{"e-mail": "Write", "IBAN": "The account", "MAC": "with", "phone": "Call", "SSN": "My number"}
	var kept []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "marker") || strings.HasPrefix(line, begins[kind]) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func TestPlantedUnknown(t *testing.T) {
	for name, change := range map[string]func(*drill.PlantedOptions){
		"not sent":     func(o *drill.PlantedOptions) { o.Send = func(context.Context, string) error { return errTwin } },
		"nothing sent": func(o *drill.PlantedOptions) { o.Send = func(context.Context, string) error { return nil } },
		"no output": func(o *drill.PlantedOptions) {
			o.Sinks["trace"] = func(context.Context) ([]byte, error) { return nil, errTwin }
		},
		"panic":          func(o *drill.PlantedOptions) { o.Sinks["trace"] = func(context.Context) ([]byte, error) { panic("x") } },
		"other options":  func(o *drill.PlantedOptions) { o.Settle = -1 },
		"nothing to see": func(o *drill.PlantedOptions) { o.Sinks = nil },
		"nil":            func(o *drill.PlantedOptions) { o.Sinks["trace"] = nil },
	} {
		o := through(whole(t).Text, asIs)
		change(&o)
		res := drill.Planted(o).Check(t.Context())
		if res.Status != checks.Unknown || res.Err == nil {
			t.Errorf("%s: %v: %s", name, res.Status, res.Summary)
		}
	}
	if got := fields(t, drill.Planted(drill.PlantedOptions{Timeout: -1}).Check(t.Context())); !slices.Equal(got, []string{"PlantedOptions.Send", "PlantedOptions.Sinks", "PlantedOptions.Timeout"}) {
		t.Errorf("%q", got)
	}
	same, other := through(asIs, asIs), through(asIs, asIs)
	other.Sinks["trace"] = other.Sinks["log"]
	digests(t, drill.Planted(same), drill.Planted(through(asIs, asIs)), drill.Planted(other))
}

// service is a gateway with everything that keeps texts: a cache behind the router, a log, the
// recorder of load tests, and a ledger. The model repeats its prompt.
type service struct {
	front          http.Handler
	model, log     buffer
	answers, trace buffer
	store          memstore.Store
}

func newService(t testing.TB, redact bool) *service {
	t.Helper()
	s := &service{}
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		s.model.Write(body)
		var asked struct{ Messages []struct{ Content string } }
		json.Unmarshal(body, &asked)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "max-age=60")
		text := asked.Messages[0].Content
		for len(text) > 0 { // tokens of five bytes
			n := min(5, len(text))
			piece, _ := json.Marshal(text[:n])
			fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%s},\"finish_reason\":null}]}\n\n", piece)
			text = text[n:]
		}
		io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(model.Close)
	answers, err := cache.New(cache.Config{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(&s.log, nil))
	router, err := traffic.New(traffic.Config{
		Arms:  map[string]traffic.Backend{"1.4.0": {URL: model.URL, Transport: answers.Transport("1.4.0", nil)}},
		Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	led, err := ledger.Open(t.Context(), ledger.Config{Store: &s.store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { led.Close() })
	text := asIs
	r := whole(t)
	if redact {
		text = r.Text
	}
	recorder, err := workload.NewRecorder(workload.RecorderConfig{Next: router, Out: &s.trace, Redact: text})
	if err != nil {
		t.Fatal(err)
	}
	logged := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		log.Info("asked", "body", string(body))
		if err := led.Note(req.Context(), "asked", string(body), rollout.Actor{Name: "gateway"}); err != nil {
			t.Error(err)
		}
		recorder.ServeHTTP(w, req)
	})
	if s.front = http.Handler(logged); redact {
		s.front = r.Handler(logged, privacy.Both)
	}
	return s
}

// options are the options of the drill of the service.
func (s *service) options() drill.PlantedOptions {
	return drill.PlantedOptions{
		Send: func(ctx context.Context, text string) error {
			body, err := json.Marshal(map[string]any{"model": "m", "stream": true, "messages": []map[string]string{{"role": "user", "content": text}}})
			if err != nil {
				return err
			}
			for range 2 { // the second answer comes from the cache
				req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", bytes.NewReader(body))
				req.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				s.front.ServeHTTP(w, req)
				if w.Code != http.StatusOK {
					return fmt.Errorf("status %d", w.Code)
				}
				// What the tokens say, joined.
				for line := range strings.Lines(w.Body.String()) {
					var event struct {
						Choices []struct{ Delta struct{ Content string } }
					}
					if data, ok := strings.CutPrefix(line, "data: "); ok && json.Unmarshal([]byte(data), &event) == nil {
						for _, c := range event.Choices {
							io.WriteString(&s.answers, c.Delta.Content)
						}
					}
				}
			}
			return nil
		},
		Settle: time.Millisecond,
		Sinks: map[string]func(context.Context) ([]byte, error){
			"model": s.model.sink, "answers": s.answers.sink, "log": s.log.sink, "trace": s.trace.sink,
			"ledger": func(ctx context.Context) (all []byte, err error) {
				for e, err := range s.store.List(ctx, "") {
					if err != nil {
						return nil, err
					}
					all = append(all, e.Value...)
				}
				return all, nil
			},
		},
	}
}

// TestPlantedThroughAService: through router, cache, log, trace and ledger; with the redactor
// off, all of them are named.
func TestPlantedThroughAService(t *testing.T) {
	res := drill.Planted(newService(t, true).options()).Check(t.Context())
	if res.Status != checks.Pass || res.Evidence["outputs with the text"] != "5" {
		t.Errorf("%v: %s, %v, %v", res.Status, res.Summary, res.Err, res.Evidence)
	}
	res = drill.Planted(newService(t, false).options()).Check(t.Context())
	if res.Status != checks.Fail || res.Evidence["found"] != "60" {
		t.Errorf("%v: %s, %v, %v", res.Status, res.Summary, res.Err, res.Evidence)
	}
	for _, name := range []string{"model (", "answers (", "log (", "trace (", "ledger ("} {
		if !strings.Contains(res.Summary, name) {
			t.Errorf("%s does not name %q", res.Summary, name)
		}
	}
}
