package prometheus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/external"
)

// answering is a source whose server always gives this answer.
func answering(t *testing.T, cfg Config, status int, media, body string) *Source {
	t.Helper()
	return serving(t, cfg, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

func serving(t *testing.T, cfg Config, h http.HandlerFunc) *Source {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	cfg.Address = server.URL
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const jsonType = "application/json"

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		want       []float64
	}{
		{"scalar", `{"resultType":"scalar","result":[1700000000.5,"0.97"]}`, []float64{0.97}},
		{"vector", `{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"1"]},{"metric":{},"value":[1,"-2.5e3"]}]}`, []float64{1, -2500}},
		{"NaN and infinities", `{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]},{"metric":{},"value":[1,"+Inf"]},{"metric":{},"value":[1,"-Inf"]}]}`, []float64{math.NaN(), math.Inf(1), math.Inf(-1)}},
		{"matrix", `{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2,"2"]]},{"metric":{},"values":[[1,"3"]]}]}`, []float64{1, 2, 3}},
		{"what is not known is passed over", `{"resultType":"scalar","result":[1,"2"],"stats":{"a":1}}`, []float64{2}},
	} {
		got, err := answering(t, Config{}, 200, jsonType, `{"status":"success","data":`+tt.data+`,"infos":["x"]}`).Query(t.Context(), "q")
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestBadAnswers(t *testing.T) {
	success := func(data string) string { return `{"status":"success","data":` + data + `}` }
	html := "text/html; charset=utf-8"
	for _, tt := range []struct {
		name        string
		status      int
		media, body string
		want        string
	}{
		{"bad query", 400, jsonType, `{"status":"error","errorType":"bad_data","error":"1:3: parse error"}`, "400 Bad Request: bad_data: 1:3: parse error"},
		{"error with 200", 200, jsonType, `{"status":"error","errorType":"internal","error":"disk"}`, "200 OK: internal: disk"},
		{"overloaded", 503, jsonType, `{"status":"error","errorType":"timeout","error":"query timed out"}`, "503 Service Unavailable: timeout: query timed out"},
		{"a page instead", 200, html, "<html>log in with the secret 42</html>", `have "text/html", want JSON`},
		{"a proxy's page", 502, html, "<html>bad gateway, secret 42</html>", "502 Bad Gateway"},
		{"a redirect", 302, html, "", "302 Found"},
		{"unauthorised", 401, "text/plain", "Unauthorized", "401 Unauthorized"},
		{"nothing", 200, "", "", "want JSON"},
		{"cut off", 200, jsonType, `{"status":"success","data":{"resultType":"vec`, "invalid JSON"},
		{"another API", 200, jsonType, `{"status":"ok"}`, `have "ok"`},
		{"an array", 200, jsonType, `[1]`, "invalid JSON"},
		{"no data at all", 200, jsonType, `{"status":"success"}`, "response: data: "},
		{"a string", 200, jsonType, success(`{"resultType":"string","result":[1,"x"]}`), "have a string"},
		{"streams", 200, jsonType, success(`{"resultType":"streams","result":[]}`), `have "streams"`},
		{"a histogram", 200, jsonType, success(`{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}`), "have a histogram"},
		{"histograms", 200, jsonType, success(`{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{}]]}]}`), "have a histogram"},
		{"without a value", 200, jsonType, success(`{"resultType":"vector","result":[{"metric":{}}]}`), "without a value"},
		{"a number as a value", 200, jsonType, success(`{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}`), "vector: "},
		{"text as a value", 200, jsonType, success(`{"resultType":"scalar","result":[1,"many"]}`), `"many"`},
		{"half a sample", 200, jsonType, success(`{"resultType":"scalar","result":[1]}`), "1 parts"},
		{"a scalar of null", 200, jsonType, success(`{"resultType":"scalar","result":null}`), "0 parts"},
		{"too large", 200, jsonType, success(`{"resultType":"vector","result":[]}`) + strings.Repeat(" ", 2000), "at most 2000 bytes"},
		{"empty vector", 200, jsonType, success(`{"resultType":"vector","result":[]}`), external.ErrNoData.Error()},
		{"null vector", 200, jsonType, success(`{"resultType":"vector","result":null}`), external.ErrNoData.Error()},
		{"empty matrix", 200, jsonType, success(`{"resultType":"matrix","result":[{"metric":{},"values":[]}]}`), external.ErrNoData.Error()},
	} {
		values, err := answering(t, Config{MaxBytes: 2000}, tt.status, tt.media, tt.body).Query(t.Context(), "q")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v, want %q in the error", tt.name, values, err, tt.want)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes the page: %v", tt.name, err)
		}
		var e *Error
		if tt.status >= 300 && (!errors.As(err, &e) || e.Status != tt.status) {
			t.Errorf("%s: %#v, want an *Error with status %d", tt.name, err, tt.status)
		}
	}
}

func TestRequest(t *testing.T) {
	query := `sum(rate(x{a="ä&b=c+d"}[1m])) > 0 # ` + strings.Repeat("long ", 3000)
	s := serving(t, Config{
		Timeout:       1500 * time.Millisecond,
		Authorization: func(context.Context) (string, error) { return "Bearer token", nil },
	}, func(w http.ResponseWriter, r *http.Request) {
		got := []string{r.Method, r.URL.Path, r.PostFormValue("query"), r.PostFormValue("timeout"), r.Header.Get("Authorization")}
		want := []string{"POST", "/api/v1/query", query, "1500ms", "Bearer token"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		w.Header().Set("Content-Type", jsonType)
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`)
	})
	if _, err := s.Query(t.Context(), query); err != nil {
		t.Error(err)
	}
	refused := errors.New("the vault is sealed")
	s.cfg.Authorization = func(context.Context) (string, error) { return "", refused }
	if _, err := s.Query(t.Context(), query); !errors.Is(err, refused) {
		t.Errorf("no token: %v", err)
	}
}

// A server that redirects to where people log in does not get the token sent on.
func TestRedirectsAreNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer other.Close()
	s := serving(t, Config{}, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	var e *Error
	if _, err := s.Query(t.Context(), "q"); !errors.As(err, &e) || e.Status != http.StatusFound {
		t.Errorf("%v, want an *Error with status 302", err)
	}
}

func TestTime(t *testing.T) {
	held := make(chan struct{})
	s := serving(t, Config{Timeout: 20 * time.Millisecond}, func(http.ResponseWriter, *http.Request) { <-held })
	defer close(held)
	if _, err := s.Query(t.Context(), "q"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "20ms") {
		t.Errorf("a server that hangs: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the rollout was aborted"))
	if _, err := s.Query(ctx, "q"); err == nil || !strings.Contains(err.Error(), "aborted") {
		t.Errorf("cancelled: %v", err)
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	s, err := New(Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Query(t.Context(), "q"); err == nil || !strings.HasPrefix(err.Error(), "prometheus: ") {
		t.Errorf("%v", err)
	}
}

func TestWarnings(t *testing.T) {
	const body = `{"status":"success","warnings":["one store is down"],"data":{"resultType":"scalar","result":[1,"1"]}}`
	var log strings.Builder
	lenient := answering(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, 200, jsonType, body)
	if v, err := lenient.Query(t.Context(), "q"); err != nil || len(v) != 1 || !strings.Contains(log.String(), "one store is down") {
		t.Errorf("%v, %v, logged %q", v, err, log.String())
	}
	if _, err := answering(t, Config{Strict: true}, 200, jsonType, body).Query(t.Context(), "q"); err == nil || !strings.Contains(err.Error(), "one store is down") {
		t.Errorf("strict: %v", err)
	}
}

func TestNewErrors(t *testing.T) {
	for _, cfg := range []Config{
		{}, {Address: "prometheus:9090"}, {Address: "ftp://x"}, {Address: "http://"}, {Address: "http://a b"}, {Address: "http://x?y=z"},
		{Address: "http://x", Timeout: -1}, {Address: "http://x", MaxBytes: -1},
	} {
		var invalid *checks.InvalidError
		if _, err := New(cfg); !errors.As(err, &invalid) {
			t.Errorf("New(%+v) = %v, want an *checks.InvalidError", cfg, err)
		}
	}
	for address, want := range map[string]string{
		"http://x:9090":         "http://x:9090/api/v1/query",
		"https://x/prometheus/": "https://x/prometheus/api/v1/query",
	} {
		if s, err := New(Config{Address: address}); err != nil || s.url != want {
			t.Errorf("%s: %v, %v, want %s", address, s, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}`))
	f.Add([]byte(`{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2,"2"]]}]}`))
	f.Add([]byte(`{"resultType":"scalar","result":[1,"0x1p-2"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if values, err := decode(data); err != nil && values != nil {
			t.Fatalf("values %v with the error %v", values, err)
		}
	})
}

func ExampleSource() {
	// In place of a Prometheus server.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000,"0.9971"]}]}}`)
	}))
	defer server.Close()
	source, err := New(Config{Address: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	a, err := external.New(external.Config{Source: source, Metrics: []external.Metric{{
		Name:    "success rate",
		Query:   `sum(rate(http_requests_total{code!~"5.."}[1m])) / sum(rate(http_requests_total[1m]))`,
		Success: external.MustCondition("result[0] >= 0.95"),
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Check(context.Background()).Status)
	// Output: pass
}
