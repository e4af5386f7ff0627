package loadtest

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// full is a result with a value in each field that a line has.
func full() Result {
	at := time.Unix(1_700_000_000, 123_456_789).UTC()
	return Result{
		Seq: 1 << 53, Prompt: 3, Method: "POST", URL: "http://127.0.0.1/v1", Trimmed: true, Due: at, Sent: at.Add(ms), Class: analysis.Truncated, Why: "cut", Fault: faultCut, Error: ErrorKind{"a", "b"},
		Status: 200, Err: errors.New("grüße"), TTFB: 1, TTFT: 2, TTFC: 3, E2E: 4, Latency: 5, TPOT: 6, NTPOT: 7, LongestGap: 8, BytesOut: 9, BytesIn: 10, Chunks: 11, Coalesced: 12,
		InputTokens: 13, CachedTokens: 14, OutputTokens: 15, ReasoningTokens: 16, TokenSource: FromUsage, FinishReason: "stop", Version: "1.2.3", RequestID: "abc", Tag: "t", UserWait: 17,
	}
}

// TestLinesHaveAShortWay makes sure that the lines of a Writer are not left to
// encoding/json, which takes five times as long.
func TestLinesHaveAShortWay(t *testing.T) {
	line := strings.TrimSuffix(write(t, JSONLines, full()), "\n")
	var has map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &has); err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if raw := string(has[m.name]); m.name != "recording" && raw == "" || raw == `""` || raw == "0" {
			t.Errorf("member %s of the line is %q, want a value in each", m.name, raw)
		}
	}
	p := newLineParser()
	if !p.short([]byte(line)) {
		t.Errorf("no short way for %s", line)
	}
	var want resultJSON
	if err := json.Unmarshal([]byte(line), &want); err != nil || !cmp.Equal(p.line, want) {
		t.Errorf("%v, (-encoding/json +short):\n%s", err, cmp.Diff(want, p.line))
	}
}

// FuzzLine compares the short way with encoding/json.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{
		`{"seq":1,"class":"ok","due":"2023-11-14T22:13:20Z"}`, `{"seq":-1}`, `{"seq":01}`, `{"code":65536}`, `{"seq":1,"seq":2}`, `{"Seq":1}`, `{"class":"Ok"}`, `{"class":null}`,
		`{"error":"\u00e9"}`, "{\"error\":\"\xff\"}", `{"body":null,"headers":null}`, `{"trimmed":true}`, `{"seq":1} x`, `{"seq":1,}`, `{}`, `{"due":"x"}`, `{"latency":1e9}`, `{"class":7}`, `{"prompt":-0}`, `{"seq":-0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		p := newLineParser()
		if !p.short(line) {
			return
		}
		var want resultJSON
		if err := json.Unmarshal(line, &want); err != nil || !cmp.Equal(p.line, want) {
			t.Errorf("%q: %v, (-encoding/json +short):\n%s", line, err, cmp.Diff(want, p.line))
		}
	})
}

// TestRecordingsAreReadBack reads an answer as it arrived from a file.
func TestRecordingsAreReadBack(t *testing.T) {
	want := full()
	want.Recording = &Recording{Body: []byte("data: \xff\n\n"), Reads: []Read{{ms, 9}, {2 * ms, 0}}, Form: answer.EventStream}
	text := write(t, JSONLines, want, full())
	var got []Result
	if err := ReadResults(strings.NewReader(text), func(r Result) error { got = append(got, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Recording, got[0].Recording); diff != "" || got[1].Recording != nil {
		t.Errorf("recording (-written +read):\n%s", diff)
	}
	for from, to := range map[string]string{`"size":9`: `"size":8`, `"at_ns":2000000`: `"at_ns":1`, `"size":0`: `"size":-1`} {
		var at *LineError
		if err := ReadResults(strings.NewReader(strings.Replace(text, from, to, 1)), func(Result) error { return nil }); !errors.As(err, &at) || at.Line != 1 {
			t.Errorf("%s: %v", to, err)
		}
	}
	long := Recording{}
	for range maxReads + 10 {
		long.add(make([]byte, 30), ms, nil)
	}
	long.add(nil, ms, io.EOF)
	want.Recording = &long
	if line := write(t, JSONLines, want); len(line) > maxLine || !long.Truncated || long.validate() != nil {
		t.Errorf("a line of %d bytes, truncated: %v", len(line), long.Truncated)
	}
	full := Recording{}
	full.add(make([]byte, maxRecording), 1<<60, nil)
	for range maxReads {
		full.add(make([]byte, 0), 1<<60, nil)
	}
	if full.add(make([]byte, 1), 1<<60, nil); !full.Truncated || len(full.Body) != maxRecording {
		t.Errorf("%d bytes", len(full.Body))
	}
}

func TestLineErrors(t *testing.T) {
	good := write(t, JSONLines, full())
	for _, test := range []struct{ from, to, want string }{
		{`"chunks":11`, `"chunks":-11`, "chunks is -11, want at least 0"},
		{`"ttft_ns":2`, `"ttft_ns":-2`, "ttft_ns is -2, want at least 0"},
		{`"bytes_in":10`, `"bytes_in":-1`, "bytes_in is -1, want at least 0"},
		{`"fault":"cut"`, `"fault":"gremlins"`, `"gremlins"`},
		{`"class":"truncated"`, `"class":"odd"`, "odd"},
		{`"seq":9007199254740992`, `"seq":"x"`, "seq"},
		{`"due":"2023`, `"due":"20x3`, "20x3"},
	} {
		bad := strings.Replace(good, test.from, test.to, 1)
		if bad == good {
			t.Fatalf("no %s in %s", test.from, good)
		}
		err := ReadResults(strings.NewReader(good+"\n"+bad), func(Result) error { return nil })
		var at *LineError
		if !errors.As(err, &at) || at.Line != 3 || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want line 3 and %q", test.to, err, test.want)
		}
	}
	long := strings.Repeat(" ", maxLine+1)
	var at *LineError
	if err := ReadResults(strings.NewReader(good+long), func(Result) error { return nil }); !errors.As(err, &at) || at.Line != 2 {
		t.Errorf("a line of %d bytes: %v", len(long), err)
	}
}

// TestSummariseFindsTheStart reads results in the order of their ends.
func TestSummariseFindsTheStart(t *testing.T) {
	due := time.Unix(1_700_000_000, 0).UTC()
	slow := Result{Prompt: -1, Due: due, Sent: due, Class: analysis.OK, Status: 200, Latency: 5 * time.Second}
	all := []Result{}
	for i := range 2 * maxFirst {
		r := slow
		r.Due = due.Add(time.Duration(i+1) * ms)
		r.Sent, r.Latency = r.Due, ms
		all = append(all, r)
	}
	for name, at := range map[string]int{"early": maxFirst / 2, "late": 2 * maxFirst} {
		results := append(append(append([]Result{}, all[:at]...), slow), all[at:]...)
		r, err := Summarise(strings.NewReader(write(t, JSONLines, results...)))
		if err != nil || !r.Began.Equal(due) || r.Elapsed != 5*time.Second || r.Sent != len(results) {
			t.Errorf("%s: %v, %d results began at %v and took %v, want %v and 5s", name, err, r.Sent, r.Began, r.Elapsed, due)
		}
	}
}
