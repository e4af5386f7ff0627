package loadtest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// serverVar makes of the test binary a server, so that what the client costs
// can be told from what the server does.
const serverVar = "SERIN_TEST_SERVER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(starvingVar); kind != "" {
		runStarving(kind)
		return
	}
	if os.Getenv(serverVar) == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("http://" + l.Addr().String())
	model, err := modeltest.New(modeltest.Config{Seed: 1, MaxBody: 16 << 20})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && r.URL.RawQuery == "" {
				model.ServeHTTP(w, r)
				return
			}
			serveCosts(w, r)
		}))
	}()
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent ends
}

// serveCosts answers GET with two bytes, and POST with a stream of as many
// chunks of content as the query says, each flushed.
func serveCosts(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, "ok")
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	say := func(s string) {
		_, _ = io.WriteString(w, s)
		_ = flush.Flush()
	}
	n, err := strconv.Atoi(r.URL.Query().Get("chunks"))
	pause, err2 := time.ParseDuration(r.URL.Query().Get("pause"))
	if err != nil || err2 != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	say(role)
	for range n {
		say(costChunk)
		if pause > 0 {
			time.Sleep(pause)
		}
	}
	say(finish)
	say(usage)
	say(done)
}

var costChunk = event(`{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1700000000,"model":"tinylm","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null}`)

func startServer(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverVar+"=1")
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
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// ratio runs two loads of n requests in turn, again and again, and reports the
// processor time that each takes for one request, the median of the ratios, and
// the ratio of the least costs, which other processes disturb least.
func ratio(b *testing.B, n int, names [2]string, loads [2]func(n int)) {
	if processCPU() < 0 {
		b.Skip("the system does not tell the time of processors")
	}
	var costs [2][]float64
	var ratios []float64
	for i := 0; b.Loop(); i++ {
		var cost [2]float64
		for j := range loads {
			k := (i + j) % 2 // neither is always the first
			began := processCPU()
			loads[k](n)
			cost[k] = (processCPU() - began) * 1e6 / float64(n)
			costs[k] = append(costs[k], cost[k])
		}
		ratios = append(ratios, cost[0]/cost[1])
	}
	median := func(v []float64) float64 {
		slices.Sort(v)
		return v[len(v)/2]
	}
	for i, name := range names {
		b.ReportMetric(median(costs[i]), "µs/req-"+name)
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(slices.Min(costs[0])/slices.Min(costs[1]), "ratio-of-best")
}

// counted is vegeta's pacer that ends after a number of requests.
type counted struct {
	vegeta.ConstantPacer
	n uint64
}

func (c counted) Pace(elapsed time.Duration, hits uint64) (time.Duration, bool) {
	wait, stop := c.ConstantPacer.Pace(elapsed, hits)
	return wait, stop || hits >= c.n
}

// attackWithVegeta is what a user of vegeta's library does.
func attackWithVegeta(b *testing.B, target vegeta.Target, workers, n int, client *http.Client) {
	options := []func(*vegeta.Attacker){vegeta.MaxWorkers(uint64(workers)), vegeta.Connections(workers), vegeta.MaxBody(0)}
	if client != nil {
		options = append(options, vegeta.Client(client))
	}
	attacker := vegeta.NewAttacker(options...)
	var m vegeta.Metrics
	for r := range attacker.Attack(vegeta.NewStaticTargeter(target), counted{vegeta.ConstantPacer{Freq: 100_000, Per: time.Second}, uint64(n)}, 0, "") {
		m.Add(r)
	}
	m.Close()
	if m.Success != 1 || m.Requests != uint64(n) {
		b.Fatal(m.Requests, m.Success, m.Errors)
	}
}

// BenchmarkShortResponses compares what one short request costs this package
// and vegeta's own attack, in processor time of the client alone.
func BenchmarkShortResponses(b *testing.B) {
	url := startServer(b)
	const workers = 16
	ratio(b, 20_000, [2]string{"loadtest", "vegeta"}, [2]func(int){
		func(n int) {
			report, err := Run(b.Context(), Plan{Target: url, Workload: workload.HTTP("", "", nil), Pacer: pace.Constant(100_000), Requests: n, Workers: workers})
			if err != nil || report.Classes[analysis.OK] != n {
				b.Fatal(report, err)
			}
		},
		func(n int) { attackWithVegeta(b, vegeta.Target{Method: "GET", URL: url}, workers, n, nil) },
	})
}

// drainer reads each answer to its end, with the buffer that this package has,
// and looks at nothing.
type drainer struct{ base http.RoundTripper }

func (d drainer) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	x := exchanges.Get().(*exchange)
	defer exchanges.Put(x)
	for err == nil {
		_, err = resp.Body.Read(x.buf[:])
	}
	return &http.Response{StatusCode: 200, Body: http.NoBody, Header: make(http.Header), Request: r}, nil
}

// BenchmarkStreams compares what one chunk of a stream costs this package and a
// client that reads without parsing, in processor time of the client alone:
// chunks that come one by one, as models send them, and as fast as the server
// can. The cost of a chunk is the difference of the costs of long streams and
// short ones, so that what a request costs is not in it.
func BenchmarkStreams(b *testing.B) {
	url := startServer(b)
	body := encodeBody(Plan{Model: "m", API: Chat}, workload.Ask("What is light?"))
	const short, long = 16, 144
	for _, load := range []struct {
		name, pause       string
		workers, requests int
	}{
		{"paced", "2ms", 200, 600}, {"flood", "0", 8, 2000},
	} {
		base := NewTransport(load.workers)
		defer base.CloseIdleConnections()
		b.Run(load.name, func(b *testing.B) {
			if processCPU() < 0 {
				b.Skip("the system does not tell the time of processors")
			}
			target := func(chunks int) string {
				return fmt.Sprintf("%s/v1/chat/completions?chunks=%d&pause=%s", url, chunks, load.pause)
			}
			ours := func(chunks int) {
				report, err := Run(b.Context(), Plan{Target: target(chunks), Model: "m", Prompts: []workload.Prompt{workload.Ask("What is light?")}, Pacer: pace.Constant(100_000), Requests: load.requests, Workers: load.workers, Transport: base})
				if err != nil || report.Classes[analysis.OK] != load.requests || report.Chunks != chunks*load.requests {
					b.Fatal(report, err)
				}
			}
			bare := func(chunks int) {
				attackWithVegeta(b, vegeta.Target{Method: "POST", URL: target(chunks), Body: body}, load.workers, load.requests, &http.Client{Transport: drainer{base}})
			}
			cost := func(run func(int), chunks int) float64 {
				began := processCPU()
				run(chunks)
				return (processCPU() - began) * 1e6 / float64(load.requests)
			}
			var mine, theirs []float64
			for b.Loop() {
				mine = append(mine, (cost(ours, long)-cost(ours, short))/(long-short))
				theirs = append(theirs, (cost(bare, long)-cost(bare, short))/(long-short))
			}
			slices.Sort(mine)
			slices.Sort(theirs)
			b.ReportMetric(mine[len(mine)/2], "µs/chunk-loadtest")
			b.ReportMetric(theirs[len(theirs)/2], "µs/chunk-no-parsing")
			b.ReportMetric(mine[len(mine)/2]/theirs[len(theirs)/2], "ratio")
		})
	}
}
