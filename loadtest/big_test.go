package loadtest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/heaptest"
)

var bigFile = flag.String("bigfile", "", "write a `file` of -biglines results, for measurements of memory and time")
var bigLines = flag.Int("biglines", 10_000_000, "the `number` of results in -bigfile")

// varied returns result i of a run of 1,000 requests per second: one in a hundred has
// failed, each with an error text of its own.
func varied(i int, rnd *rand.Rand) Result {
	due := time.Unix(1_700_000_000, 0).Add(time.Duration(i) * ms)
	r := Result{
		Seq: uint64(i), Prompt: -1, Due: due, Sent: due.Add(time.Duration(rnd.IntN(200_000))), Class: analysis.OK, Status: 200, BytesOut: 412, BytesIn: 18_000,
		Chunks: 64, Coalesced: rnd.IntN(4), InputTokens: 20 + rnd.IntN(400), OutputTokens: 64, TokenSource: FromUsage, FinishReason: "length", RequestID: fmt.Sprintf("req-%012d", i),
		TTFB: time.Duration(rnd.ExpFloat64() * 20e6), LongestGap: time.Duration(rnd.ExpFloat64() * 40e6),
	}
	r.TTFT = r.TTFB + time.Duration(rnd.ExpFloat64()*100e6) + 1
	r.TTFC, r.TPOT = r.TTFT, 8*ms+time.Duration(rnd.ExpFloat64()*4e6)
	r.E2E = r.TTFT + 63*r.TPOT
	r.Latency, r.NTPOT = r.E2E+ms, r.E2E/64
	if i%100 == 99 {
		r = Result{Seq: r.Seq, Prompt: -1, Due: r.Due, Sent: r.Sent, Class: analysis.Error, Status: 500, Why: "status 500", Fault: faultServerError, TTFB: r.TTFB, Latency: r.TTFB,
			Err: fmt.Errorf("loadtest: status 500: worker %d at 10.0.0.7:%d has died", i, 1024+rnd.IntN(60_000))}
	}
	return r
}

// lines is a reader of n results in JSON lines, which are made while it is read.
type lines struct {
	make func(i int) Result
	n, i int
	buf  bytes.Buffer
	w    *Writer
}

func newLines(n int, each func(i int) Result) *lines {
	l := &lines{make: each, n: n}
	l.w, _ = NewWriter(&l.buf, JSONLines, "big", "http://127.0.0.1:8000") // the format exists
	return l
}

func (l *lines) Read(p []byte) (int, error) {
	for l.buf.Len() == 0 {
		if l.i == l.n {
			return 0, io.EOF
		}
		for range min(100, l.n-l.i) {
			l.w.Write(l.make(l.i))
			l.i++
		}
		if err := l.w.Flush(); err != nil {
			return 0, err
		}
	}
	return l.buf.Read(p)
}

// TestBigFile writes the file for measurements of the command:
//
//	go test ./loadtest -run BigFile -bigfile /tmp/big.jsonl
//	/usr/bin/time -v loadtest report -html /tmp/big.html -json /tmp/big.json /tmp/big.jsonl
func TestBigFile(t *testing.T) {
	if *bigFile == "" {
		t.Skip("no -bigfile")
	}
	f, err := os.Create(*bigFile)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	_, err = io.Copy(f, newLines(*bigLines, func(i int) Result { return varied(i, rnd) }))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestFilesAreComparedInBoundedMemory compares two runs of many results.
func TestFilesAreComparedInBoundedMemory(t *testing.T) {
	const n = 30_000
	rnd := rand.New(rand.NewPCG(1, 2))
	var early, late int64
	each := func(i int) Result {
		switch i {
		case n / 2:
			early = heaptest.InUse()
		case n - 1:
			late = heaptest.InUse()
		}
		return varied(i, rnd)
	}
	other := rand.New(rand.NewPCG(3, 4))
	c, err := CompareFiles(newLines(n, each), newLines(n, func(i int) Result { return varied(i, other) }), analysis.Plan{})
	if err != nil || c.Baseline.Sent != n || c.Candidate.Sent != n {
		t.Fatal(err)
	}
	if late > early+2<<20 {
		t.Errorf("the heap grew from %d to %d bytes", early, late)
	}
}

// TestResultsAreReadInBoundedMemory reads many results, each with an error text of its
// own, and looks at the heap early and late.
func TestResultsAreReadInBoundedMemory(t *testing.T) {
	const n = 60_000
	rnd := rand.New(rand.NewPCG(1, 2))
	var early, late int64
	text := func(i int) Result {
		switch i {
		case n / 4:
			early = heaptest.InUse()
		case n - 1:
			late = heaptest.InUse()
		}
		r := varied(i, rnd)
		r.Due, r.Sent = r.Due.Add(time.Duration(i)*ms*100), r.Sent.Add(time.Duration(i)*ms*100) // of hours
		if i%2 == 1 {
			r.Class, r.Status, r.Err = analysis.Error, 500, fmt.Errorf("loadtest: status 500: %d", i)
		}
		return r
	}
	report, err := Summarise(newLines(n, text))
	if err != nil || report.Sent != n || report.Classes[analysis.Error] != n/2 || report.Classes[analysis.OK] != n/2 {
		t.Fatalf("%v, %v", report, err)
	}
	// The series of the run may double once.
	if late > early+2<<20 {
		t.Errorf("the heap grew from %d to %d bytes", early, late)
	}
}
