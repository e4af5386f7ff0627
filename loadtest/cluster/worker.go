package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
)

// WorkerConfig configures a [Worker]. Token is required.
type WorkerConfig struct {
	// Token is the token that a coordinator must present, at least 16 bytes.
	Token loadtest.Secret `env:"TOKEN"`
	// APIKey and Header are sent with each request of a load test. They are not sent
	// to the coordinator. See [loadtest.Plan].
	APIKey loadtest.Secret `env:"API_KEY"`
	Header http.Header
	// Tokenizer, Transport and OnResult are used in each run; see [loadtest.Plan].
	// Concurrent runs call OnResult concurrently.
	Tokenizer func(text string) int
	Transport http.RoundTripper
	OnResult  func(loadtest.Result)
	// MaxRuns is the largest number of concurrent runs. A worker that takes over the
	// share of another one has two. Default 16.
	MaxRuns int `env:"MAX_RUNS"`
	// Logger logs runs. If nil, they are not logged.
	Logger *slog.Logger `env:", noinit"`
}

const (
	defaultMaxRuns = 16
	maxPlan        = 256 << 20 // bytes of a plan: the largest traces have some 100 MB
	heartbeat      = time.Second
)

// Worker is an HTTP handler that runs parts of load tests for a [Coordinator]. A run
// ends when its connection ends, so it stops if the coordinator fails. A Worker is
// safe for concurrent use.
type Worker struct {
	cfg WorkerConfig
	mux http.ServeMux

	mu   sync.Mutex
	runs map[string]context.CancelFunc
}

var _ http.Handler = (*Worker)(nil)

// Validate returns an error that joins a [*checks.InvalidError] for each invalid
// field.
func (c WorkerConfig) Validate() error {
	err := checkToken("WorkerConfig.Token", c.Token)
	if c.MaxRuns < 0 {
		err = errors.Join(err, &checks.InvalidError{Package: "cluster", Field: "WorkerConfig.MaxRuns", Value: c.MaxRuns, Want: "at least 0"})
	}
	return err
}

// NewWorker returns a worker. It returns the errors of [WorkerConfig.Validate].
func NewWorker(cfg WorkerConfig) (*Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MaxRuns == 0 {
		cfg.MaxRuns = defaultMaxRuns
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Worker{cfg: cfg, runs: make(map[string]context.CancelFunc)}
	w.mux.HandleFunc("GET "+clockPath, w.clock)
	w.mux.HandleFunc("POST "+runsPath, w.run)
	w.mux.HandleFunc("DELETE "+runsPath+"/{id}", w.stop)
	return w, nil
}

// ServeHTTP serves one request of a coordinator.
func (w *Worker) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if !authorised(r, w.cfg.Token) {
		rw.Header().Set("WWW-Authenticate", "Bearer")
		refuse(rw, http.StatusUnauthorized, "wrong token")
		return
	}
	w.mux.ServeHTTP(rw, r)
}

func refuse(rw http.ResponseWriter, status int, why string) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(runLine{Error: why}) // the client is gone
}

func (w *Worker) clock(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(clockReply{time.Now()})
}

// run runs one part of a plan and sends its intervals.
func (w *Worker) run(rw http.ResponseWriter, r *http.Request) {
	var asked runRequest
	if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, maxPlan)).Decode(&asked); err != nil {
		refuse(rw, http.StatusBadRequest, "cannot parse the plan: "+err.Error())
		return
	}
	p := asked.Plan
	p.APIKey, p.Header, p.Tokenizer, p.Transport, p.OnResult = w.cfg.APIKey, w.cfg.Header, w.cfg.Tokenizer, w.cfg.Transport, w.cfg.OnResult
	if err := p.Validate(); err != nil {
		refuse(rw, http.StatusUnprocessableEntity, err.Error())
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if !w.begin(asked.ID, cancel) {
		refuse(rw, http.StatusTooManyRequests, "too many runs, or one with this ID")
		return
	}
	defer w.end(asked.ID)

	out := newLines(rw)
	defer out.close()
	out.send(runLine{}) // the plan is accepted
	p.OnInterval = func(report *loadtest.Report) { out.send(runLine{Interval: report}) }
	log := w.cfg.Logger.With("run", asked.ID, "target", p.Target)
	log.InfoContext(ctx, "run started", "start", p.Start)
	report, err := loadtest.Run(ctx, p)
	if err != nil {
		out.send(runLine{Error: err.Error(), Done: &totals{}})
		return
	}
	log.InfoContext(ctx, "run ended", "sent", report.Sent, "interrupted", report.Interrupted)
	out.send(runLine{Done: &totals{report.Sent, report.Unsent}})
}

// begin registers a run. It returns false if there are too many.
func (w *Worker) begin(id string, cancel context.CancelFunc) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, exists := w.runs[id]; exists || len(w.runs) >= w.cfg.MaxRuns {
		return false
	}
	w.runs[id] = cancel
	return true
}

func (w *Worker) end(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.runs, id)
}

func (w *Worker) stop(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	cancel := w.runs[r.PathValue("id")]
	w.mu.Unlock()
	if cancel == nil {
		refuse(rw, http.StatusNotFound, "unknown run")
		return
	}
	cancel()
	rw.WriteHeader(http.StatusNoContent)
}

// lines writes JSON lines. It writes an empty one after a second without any.
type lines struct {
	mu   sync.Mutex
	out  *json.Encoder
	push *http.ResponseController
	last time.Time
	quit chan struct{}
	wait sync.WaitGroup
}

func newLines(rw http.ResponseWriter) *lines {
	rw.Header().Set("Content-Type", "application/x-ndjson")
	l := &lines{out: json.NewEncoder(rw), push: http.NewResponseController(rw), quit: make(chan struct{})}
	l.wait.Go(func() {
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.mu.Lock()
				quiet := time.Since(l.last) >= heartbeat
				l.mu.Unlock()
				if quiet {
					l.send(runLine{})
				}
			case <-l.quit:
				return
			}
		}
	})
	return l
}

// send writes one line. It ignores errors: when the connection breaks, the context
// of the run ends.
func (l *lines) send(line runLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.out.Encode(line)
	_ = l.push.Flush()
	l.last = time.Now()
}

func (l *lines) close() {
	close(l.quit)
	l.wait.Wait()
}
