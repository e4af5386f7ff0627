package loadtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/hdr"
	"github.com/serin-go/serin/loadtest/pace"
)

func golden() Result {
	at := time.Unix(1700000000, 800000000).UTC()
	return Result{Seq: 8, Status: 503, Due: at, Sent: at, Latency: 900 * ms, BytesOut: 10, BytesIn: 100,
		Class: analysis.Error, Why: "status 503", Fault: faultServerError, Err: errors.New("503 Service Unavailable")}
}

func write(t *testing.T, f Format, results ...Result) string {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, f, "golden", "http://127.0.0.1/v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		w.Write(r)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCSVIsThatOfVegeta(t *testing.T) {
	want := "1700000000800000000,503,900000000,10,100,503 Service Unavailable,,golden,8,POST,http://127.0.0.1/v1,\n"
	if got := write(t, CSV, golden()); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// TestVegetaReadsOurFiles decodes what was written with vegeta's own decoder.
func TestVegetaReadsOurFiles(t *testing.T) {
	for _, f := range []Format{CSV, JSONLines} {
		text := write(t, f, golden(), golden())
		decode := vegeta.NewJSONDecoder(strings.NewReader(text))
		if f == CSV {
			decode = vegeta.NewCSVDecoder(strings.NewReader(text))
		}
		for range 2 {
			var got vegeta.Result
			if err := decode(&got); err != nil {
				t.Fatal(f, err)
			}
			g := golden()
			if got.Seq != g.Seq || got.Code != 503 || !got.Timestamp.Equal(g.Sent) || got.Latency != g.Latency || got.BytesIn != 100 || got.BytesOut != 10 || got.Error != g.Err.Error() {
				t.Errorf("%s: vegeta reads %+v", f, got)
			}
		}
		if !strings.HasSuffix(text, "\n") {
			t.Errorf("%s: the last line has no newline", f)
		}
	}
}

func TestFilesAreReadBack(t *testing.T) {
	p := plan(script{parts: spoken})
	p.Pacer, p.Requests = pace.Constant(10), 30
	report, results := simulate(t, p)
	text := write(t, JSONLines, results...)
	var back []Result
	if err := ReadResults(strings.NewReader(text), func(r Result) error { back = append(back, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(results, back, cmpopts.EquateErrors(), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("results (-written +read):\n%s", diff)
	}
	again, err := Summarise(strings.NewReader(text), SLO{TTFT: time.Second})
	if err != nil || again.Sent != report.Sent || again.TTFT.Quantile(0.9) != report.TTFT.Quantile(0.9) || again.OutputTokens != report.OutputTokens || again.Goodput[0].Good != 30 {
		t.Errorf("%v\n%v", again, err)
	}
	again, err = Summarise(strings.NewReader(text[:len(text)-40]))
	if err == nil || !strings.Contains(err.Error(), "line 30") || again.Sent != 29 {
		t.Errorf("a file that was cut off: %v, %d results", err, again.Sent)
	}
}

func TestReportFormats(t *testing.T) {
	p := plan(script{parts: spoken})
	p.Pacer, p.Requests = pace.Constant(10), 30
	report, _ := simulate(t, p)
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if got := back.TTFT.Quantile(0.5); back.Sent != 30 || (got-200*ms).Abs() > 200*time.Microsecond {
		t.Errorf("sent %d, TTFT p50 %v", back.Sent, got)
	}
	if diff := cmp.Diff(report.Series(), back.Series()); diff != "" || back.totalTokenRate() != report.totalTokenRate() {
		t.Errorf("series (-before +after):\n%s", diff)
	}
	if a, b := report.String(), back.String(); strings.Split(a, "\n")[1] != strings.Split(b, "\n")[1] {
		t.Errorf("before:\n%s\nafter:\n%s", a, b)
	}
	for _, bad := range []string{`{}`, `{"state":{}}`, `{"sent":-1,"state":{"tally":{}}}`, `{"state":{"tally":{},"series":{"width_ns":1,"bins":[{"i":999}]}}}`, `{"state":{"tally":{"values":{"ttft":"AA=="}}}}`} {
		if err := json.Unmarshal([]byte(bad), new(Report)); err == nil {
			t.Errorf("%s is read as a report", bad)
		}
	}
	var log bytes.Buffer
	if err := writeLog(&log, report); err != nil {
		t.Fatal(err)
	}
	tags := 0
	for line := range strings.Lines(log.String()) {
		if rest, ok := strings.CutPrefix(line, "Tag="); ok {
			tags++
			fields := strings.Split(strings.TrimSpace(rest), ",")
			if h, err := hdr.Decode(fields[4]); err != nil || h.Count() == 0 {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if tags != 16 {
		t.Errorf("%d histograms:\n%s", tags, log.String())
	}
}

// TestHistogramLogGrowsWithTheRun writes a line a second for each kind, which
// add up to the whole.
func TestHistogramLogGrowsWithTheRun(t *testing.T) {
	var log bytes.Buffer
	l := NewHistogramLog(&log)
	p := plan(script{parts: spoken})
	p.Pacer, p.Requests, p.OnInterval = pace.Constant(10), 30, l.Add
	report, _ := simulate(t, p)
	var sum hdr.Histogram
	lines, starts := 0, []string{}
	for line := range strings.Lines(log.String()) {
		if rest, ok := strings.CutPrefix(line, "Tag=TTFT,"); ok {
			lines++
			fields := strings.Split(strings.TrimSpace(rest), ",")
			starts = append(starts, fields[0]+"+"+fields[1])
			h, err := hdr.Decode(fields[3])
			if err != nil {
				t.Fatal(err)
			}
			sum.Merge(h)
		}
	}
	if diff := cmp.Diff([]string{"946684800.000+1.000", "946684801.000+1.000", "946684802.000+1.000", "946684803.000+0.315"}, starts); diff != "" {
		t.Errorf("intervals (-want +got):\n%s", diff)
	}
	if sum != *report.TTFT.histogram() || l.Err() != nil || strings.Count(log.String(), "StartTime:") != 1 {
		t.Errorf("%d of %d, %v", sum.Count(), report.TTFT.Count(), l.Err())
	}
	if l = NewHistogramLog(brokenWriter{}); writeLog(brokenWriter{}, report) == nil {
		t.Error("no error of a broken writer")
	}
	if l.Add(report); l.Err() == nil {
		t.Error("no error of a broken writer")
	}
}

// TestSeriesStaysSmall runs for a virtual day.
func TestSeriesStaysSmall(t *testing.T) {
	var s series
	began := time.Unix(0, 0)
	for i := range 86_400 {
		due := began.Add(time.Duration(i) * time.Second)
		s.add(began, Result{Due: due, Sent: due, Latency: 2500 * ms, OutputTokens: 1})
	}
	r := Report{series: s}
	sent, tokens := 0, 0
	for _, x := range r.Series() {
		sent, tokens = sent+x.Sent, tokens+x.Tokens
	}
	got := r.Series()[10]
	if len(s.bins) > maxBins || sent != 86_400 || tokens != 86_400 || got.Active < 2.49 || got.Active > 2.51 || got.Whole99 < 2.45 {
		t.Errorf("%d bins with %d requests, the tenth %+v", len(s.bins), sent, got)
	}
}

func TestMergedReports(t *testing.T) {
	p := plan(script{parts: spoken})
	p.Pacer, p.Requests = pace.Constant(20), 60
	whole, _ := simulate(t, p)
	p.Pacer, p.Requests = pace.Shard(pace.Constant(20), 0, 2), 30
	merged, _ := simulate(t, p)
	p.Pacer = pace.Shard(pace.Constant(20), 1, 2)
	second, _ := simulate(t, p)
	merged.Merge(second)
	if merged.Sent != whole.Sent || merged.OutputTokens != whole.OutputTokens || merged.SentRate != whole.SentRate || merged.Elapsed != whole.Elapsed {
		t.Errorf("merged:\n%v\nwhole:\n%v", merged, whole)
	}
	if diff := cmp.Diff(whole.Series(), merged.Series()); diff != "" {
		t.Errorf("series (-whole +merged):\n%s", diff)
	}
}

func FuzzReadResults(f *testing.F) {
	f.Add([]byte(`{"attack":"a","seq":1,"code":200,"timestamp":"2023-11-14T22:13:20Z","due":"2023-11-14T22:13:20Z","latency":5,"class":"ok","fault":"none"}`))
	f.Add([]byte("{}\n\nnull\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = Summarise(bytes.NewReader(data), SLO{TTFT: 1})
	})
}

// writeLog writes a histogram log of a whole run.
func writeLog(w io.Writer, r *Report) error {
	l := NewHistogramLog(w)
	l.Add(r)
	return l.Err()
}
