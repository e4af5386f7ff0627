package loadtest_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/corpus"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// labelled is a workload of the requests that rows of the corpus answer.
type labelled []corpus.Row

func (l labelled) Request(seq uint64) workload.Request {
	row := l[seq]
	return workload.Request{Method: row.Method, Path: row.Route, Body: row.Request(), Header: http.Header{"X-Row": {row.Name}}}
}

// TestCorpus sends the request of each labelled answer to a server that gives the
// answer. Live traffic must get the same classes; see package corpus.
func TestCorpus(t *testing.T) {
	rows := make(map[string]corpus.Row)
	var ordinary, stalled labelled
	for _, row := range corpus.Rows() {
		path, _, _ := strings.Cut(row.Route, "?")
		if row.Method != http.MethodPost || row.Status == 0 || answer.RouteOf(row.Method, path).Kind != answer.Inference {
			continue
		}
		rows[row.Name] = row
		switch {
		case row.After == nil, row.After.What == corpus.Cut:
			ordinary = append(ordinary, row)
		case row.After.What == corpus.Stall:
			stalled = append(stalled, row)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rows[r.Header.Get("X-Row")].ServeHTTP(w, r)
	}))
	defer server.Close()
	run := func(rows labelled, p loadtest.Plan) {
		seen := 0
		p.Target, p.Model, p.Workload, p.Requests = server.URL, "m", rows, len(rows)
		p.Pacer, p.Workers = pace.Constant(2000), max(16, len(stalled))
		p.OnResult = func(r loadtest.Result) {
			seen++
			row := rows[r.Seq]
			if !slices.Contains(row.Class, r.Class.String()) || row.Why != "" && r.Why != row.Why {
				t.Errorf("%s: class %v (%s), want %v (%s)", row.Name, r.Class, r.Why, row.Class, row.Why)
			}
			if (r.Class == analysis.OK || r.Class == analysis.Refused) != (r.Err == nil) || r.Class == analysis.OK && (r.Why != "" || r.Fault != "") {
				t.Errorf("%s: class %v (%s) with fault %v, error %v", row.Name, r.Class, r.Why, r.Fault, r.Err)
			}
			if u := row.Usage; u != nil && r.Chunks > 0 {
				for _, count := range []struct {
					name string
					got  int
					want *int
				}{{"input", r.InputTokens, u.Input}, {"output", r.OutputTokens, u.Output}, {"cached", r.CachedTokens, u.Cached}} {
					if count.want != nil && *count.want != count.got {
						t.Errorf("%s: %d %s tokens, want %d", row.Name, count.got, count.name, *count.want)
					}
				}
			}
			if row.Text != nil && row.Header["Content-Encoding"] == "" && row.After == nil && r.Recording.Text() != *row.Text {
				t.Errorf("%s: text %.200q, want %.200q", row.Name, r.Recording.Text(), *row.Text)
			}
		}
		if _, err := loadtest.Run(t.Context(), p); err != nil || seen != len(rows) {
			t.Errorf("%d of %d rows were answered, error %v", seen, len(rows), err)
		}
	}
	run(ordinary, loadtest.Plan{Record: true})
	run(stalled, loadtest.Plan{Record: true, Timeout: 500 * time.Millisecond})
	t.Logf("%d answers, and %d that stall", len(ordinary), len(stalled))
}
