package trafficprom_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/promtest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/trafficprom"
	"github.com/serin-go/serin/strategies"
)

// The dashboard and the alerts of the gateway are for the metrics of this package.
var (
	dashboardFile = filepath.FromSlash("../../../examples/gateway/dashboard.json")
	alertsFile    = filepath.FromSlash("../../../examples/gateway/alerts.yml")
)

// TestAlerts has each alert fire, and be silent, where it should.
func TestAlerts(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("no promtool in the path; on Debian: apt-get install prometheus")
	}
	tests := filepath.Join("testdata", "rules.yml")
	for _, args := range [][]string{{"check", "rules", alertsFile}, {"test", "rules", tests}} {
		if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	alerts, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(tests)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(alerts, -1) {
		if !strings.Contains(string(text), string(m[1])) {
			t.Errorf("no test has the alert %s", m[1])
		}
	}
}

// queries returns the queries of the dashboard by panel, with the values of its variables.
func queries(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID          int
			Title       string
			Description string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ RefID, Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, AllValue string }
		}
	}
	if err := json.Unmarshal(file, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := []string{"$__rate_interval", "10s"}
	for _, v := range dashboard.Templating.List {
		if v.AllValue != "" {
			variables = append(variables, "$"+v.Name, v.AllValue)
		}
	}
	all := make(map[string]string)
	seen := make(map[any]bool)
	for _, p := range dashboard.Panels {
		for _, key := range []any{p.ID, p.Title, p.GridPos} {
			if seen[key] {
				t.Errorf("two panels have %v", key)
			}
			seen[key] = true
		}
		if p.Description == "" || len(p.Targets) == 0 || p.GridPos.W*p.GridPos.H == 0 {
			t.Errorf("panel %+v", p)
		}
		for _, target := range p.Targets {
			query := strings.NewReplacer(variables...).Replace(target.Expr)
			if strings.Contains(query, "$") || target.LegendFormat == "" {
				t.Errorf("%s: %+v", p.Title, target)
			}
			all[p.Title+" "+target.RefID] = query
		}
	}
	if len(all) == 0 {
		t.Fatal("the dashboard has no query")
	}
	return all
}

// live serves requests of all kinds until the test ends.
func live(t *testing.T) *traffic.Router {
	t.Helper()
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, event := range []string{
			`{"choices":[{"index":0,"delta":{"content":"Hel"}}]}`, `{"choices":[{"index":0,"delta":{"content":"lo"}}]}`,
			`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, `{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}`, "[DONE]",
		} {
			_, _ = io.WriteString(w, "data: "+event+"\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(2 * time.Millisecond): // so that there is a time per token
			case <-r.Context().Done():
				return
			}
		}
	}))
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	r, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{
			"1.4.0": {URL: model.URL, Price: traffic.Price{Input: 1_000_000, Output: 2_000_000}},
			"1.5.0": {URL: broken.URL},
		},
		Split:  strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: 9000}, {Name: "1.5.0", Weight: 1000}}},
		Tenant: func(r *http.Request) string { return r.Header["Tenant"][0] }, // panics without the header
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(r)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			path := "/v1/chat/completions"
			if i%20 == 0 {
				path = "/sleep" // a control route
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, front.URL+path, strings.NewReader(`{"model":"m","stream":true}`))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			if i%50 != 0 {
				req.Header.Set("Tenant", "x")
			}
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		front.Close()
		model.Close()
		broken.Close()
	})
	return r
}

// ask asks a Prometheus, and sets into to the data of its answer.
func ask(ctx context.Context, address, path string, form url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+path+"?"+form.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: into}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return nil
}

// TestRealPrometheus has a Prometheus scrape the metrics of live traffic. Each query of
// the dashboard must return numbers, and each alert must be evaluated without an error.
func TestRealPrometheus(t *testing.T) {
	page := httptest.NewServer(trafficprom.New(live(t)))
	t.Cleanup(page.Close)
	prometheus := promtest.Start(t, page.URL, alertsFile)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	eventually := func(what string, try func() error) {
		t.Helper()
		for {
			err := try()
			if err == nil {
				return
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
				t.Errorf("%s: %v", what, err)
				return
			}
		}
	}
	for panel, query := range queries(t) {
		eventually(panel+": "+query, func() error {
			var data struct {
				Result []struct{ Value [2]any }
			}
			if err := ask(ctx, prometheus, "/api/v1/query", url.Values{"query": {query}}, &data); err != nil {
				return err
			}
			for _, r := range data.Result {
				if r.Value[1] != "NaN" {
					return nil
				}
			}
			return fmt.Errorf("no number in %d results", len(data.Result))
		})
	}
	eventually("the rules", func() error {
		var data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if err := ask(ctx, prometheus, "/api/v1/rules", nil, &data); err != nil {
			return err
		}
		if len(data.Groups) == 0 || len(data.Groups[0].Rules) < 8 {
			return fmt.Errorf("%d groups", len(data.Groups))
		}
		for _, r := range data.Groups[0].Rules {
			if r.Health != "ok" {
				return fmt.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
		return nil
	})
	var targets struct {
		ActiveTargets []struct{ Health, LastError string }
	}
	if err := ask(ctx, prometheus, "/api/v1/targets", nil, &targets); err != nil {
		t.Error(err)
	} else if len(targets.ActiveTargets) != 1 || targets.ActiveTargets[0].Health != "up" {
		t.Errorf("targets %+v", targets)
	}
	var metadata map[string][]struct{ Type string }
	if err := ask(ctx, prometheus, "/api/v1/metadata", nil, &metadata); err != nil {
		t.Error(err)
	} else if m := metadata["gen_ai_client_inference_duration_seconds"]; len(m) != 1 || m[0].Type != "histogram" {
		t.Errorf("metadata %+v", m)
	}
}
