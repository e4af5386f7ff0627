package loadtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/loadtest/pace"
)

// TestFewValuesAreMarked has a quantile marked exactly if fewer than ten values lie
// beyond it, in the exact form, as a histogram, and read back.
func TestFewValuesAreMarked(t *testing.T) {
	for _, test := range []struct {
		n    int
		want map[string]uint64
	}{
		{1, map[string]uint64{"p50": 0, "p90": 0, "p95": 0, "p99": 0, "p999": 0}},
		{50, map[string]uint64{"p90": 5, "p95": 2, "p99": 0, "p999": 0}},
		{100, map[string]uint64{"p95": 5, "p99": 1, "p999": 0}},
		{199, map[string]uint64{"p95": 9, "p99": 1, "p999": 0}},
		{200, map[string]uint64{"p99": 2, "p999": 0}},
		{999, map[string]uint64{"p99": 9, "p999": 0}},
		{1000, map[string]uint64{"p999": 1}},
		{9999, map[string]uint64{"p999": 9}},
		{10_000, nil},
		{0, nil},
	} {
		var d Distribution
		for i := range test.n {
			d.add(ms << (i % 3))
		}
		d.seal()
		data, err := json.Marshal(d)
		var back Distribution
		if err == nil {
			err = json.Unmarshal(data, &back)
		}
		again, err2 := json.Marshal(back)
		for _, data := range [][]byte{data, again} {
			var j struct {
				Few map[string]uint64 `json:"few_beyond"`
			}
			if json.Unmarshal(data, &j) != nil || err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if diff := cmp.Diff(test.want, j.Few); diff != "" {
				t.Errorf("%d values (-want +got):\n%s", test.n, diff)
			}
		}
		if d.few(0) || d.few(1) {
			t.Errorf("%d values: an extreme is marked", test.n)
		}
	}
}

// TestMarksAreShown looks at the marks of 50 requests in text and HTML.
func TestMarksAreShown(t *testing.T) {
	p := plan(script{parts: spoken})
	p.Pacer, p.Requests = pace.Constant(10), 50
	report, _ := simulate(t, p)
	text := report.String()
	if want := "TTFT                  50   200ms   200ms  ~200ms  ~200ms  ~200ms  ~200ms   200ms\n"; !strings.Contains(text, want) {
		t.Errorf("want the line %q in\n%s", want, text)
	}
	if want := "\n~ chance decides, as fewer than 10 values lie beyond: p90 5, p95 2, p99 0, p99.9 0 (of 50 values); p95 7, p99 1, p99.9 0 (of 150 values)"; !strings.Contains(text, want) {
		t.Errorf("want the line %q in\n%s", want, text)
	}
	var page bytes.Buffer
	if err := report.WriteHTML(&page); err != nil || !strings.Contains(page.String(), `<td title="0 of 50 values lie beyond">~200ms</td>`) || !strings.Contains(page.String(), "chance decides") {
		t.Errorf("%v\n%s", err, page.String())
	}
}
