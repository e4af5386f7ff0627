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

// WorkerConfig configures a [Worker].
type WorkerConfig struct {
	// Token is the token that a coordinator must have, at least 16 bytes. Without it, the
	// worker refuses all requests of [Worker.ServeHTTP], and [Worker.Join] requires a
	// verified certificate of the coordinator.
	Token loadtest.Secret `env:"TOKEN"`
	// Name is the name under which the worker joins: 1 to 128 of A-Z, a-z, 0-9, '.', '_'
	// and '-', the first one a letter or a digit. Each worker needs a name of its own.
	// Default: the name of the host.
	Name string `env:"NAME"`
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
	// Logger logs runs and connections. If nil, they are not logged.
	Logger *slog.Logger `env:", noinit"`
}

const (
	defaultMaxRuns = 16
	maxPlan        = 256 << 20 // bytes of a plan: the largest traces have some 100 MB
	heartbeat      = time.Second
)

// Worker runs parts of load tests for a [Coordinator]. It is an HTTP handler for
// coordinators that connect to it, and [Worker.Join] connects it to a coordinator. A run
// ends when its connection ends, so it stops if the coordinator fails. A Worker is safe
// for concurrent use.
type Worker struct {
	cfg WorkerConfig
	mux http.ServeMux

	leaving context.Context // ends when Leave begins
	leave   context.CancelFunc
	left    context.Context // ends when Leave returns; then connections end
	close   context.CancelFunc

	mu   sync.Mutex
	runs map[string]*workerRun
	idle chan struct{} // closed without runs, when leaving
}

// workerRun is a run of a part of a plan.
type workerRun struct {
	cancel   context.CancelCauseFunc
	schedule *divisible // nil in a closed loop
}

var _ http.Handler = (*Worker)(nil)

// Validate returns an error that joins a [*checks.InvalidError] for each invalid
// field.
func (c WorkerConfig) Validate() error {
	errs := []error{checkToken("WorkerConfig.Token", c.Token)}
	if c.Name != "" && !validName.MatchString(c.Name) {
		errs = append(errs, &checks.InvalidError{Package: "cluster", Field: "WorkerConfig.Name", Value: c.Name, Want: nameForm})
	}
	if c.MaxRuns < 0 {
		errs = append(errs, &checks.InvalidError{Package: "cluster", Field: "WorkerConfig.MaxRuns", Value: c.MaxRuns, Want: "at least 0"})
	}
	return errors.Join(errs...)
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
	w := &Worker{cfg: cfg, runs: make(map[string]*workerRun), idle: make(chan struct{})}
	w.leaving, w.leave = context.WithCancel(context.Background())
	w.left, w.close = context.WithCancel(context.Background())
	w.mux.HandleFunc("GET "+clockPath, w.clock)
	w.mux.HandleFunc("POST "+runsPath, w.run)
	w.mux.HandleFunc("POST "+runsPath+"/{id}"+givePath, w.give)
	w.mux.HandleFunc("DELETE "+runsPath+"/{id}", w.stop)
	return w, nil
}

// ServeHTTP serves one request of a coordinator that connects to the worker. It refuses
// requests without the token or with another version of the protocol.
func (w *Worker) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	setVersion(rw.Header())
	if !authorised(r, w.cfg.Token) {
		why := "wrong token"
		if w.cfg.Token == "" {
			why = "this worker has no token, so it serves only the coordinators that it joins"
		}
		rw.Header().Set("WWW-Authenticate", "Bearer")
		refuse(rw, http.StatusUnauthorized, why)
		return
	}
	if err := checkVersion("the coordinator", r.Header); err != nil {
		w.cfg.Logger.Warn("coordinator refused", "address", r.RemoteAddr, "error", err)
		refuse(rw, http.StatusBadRequest, err.Error())
		return
	}
	w.mux.ServeHTTP(rw, r)
}

func refuse(rw http.ResponseWriter, status int, why string) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(runLine{Error: why}) // the client is gone
}

// Leave gives the rest of the worker's shares back to their coordinators, which hand it
// to other workers, and returns when all runs have ended. Each run waits for the answers
// to the requests that it has sent. Then the connections of [Worker.Join] end. When ctx
// ends, Leave cancels the runs that are left, and returns the cause of ctx. A worker that
// leaves or has left refuses further runs.
func (w *Worker) Leave(ctx context.Context) error {
	w.mu.Lock()
	w.leave()
	w.idleLocked()
	w.mu.Unlock()
	defer w.close()
	select {
	case <-w.idle:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	for _, r := range w.runs {
		r.cancel(context.Cause(ctx))
	}
	w.mu.Unlock()
	select {
	case <-w.idle:
	case <-time.After(defaultSilence): // for the last messages
	}
	return context.Cause(ctx)
}

// idleLocked closes idle if the worker leaves and has no runs.
func (w *Worker) idleLocked() {
	select {
	case <-w.idle:
	default:
		if len(w.runs) == 0 && w.leaving.Err() != nil {
			close(w.idle)
		}
	}
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
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	this := &workerRun{cancel: cancel}
	if p.Pacer != nil {
		this.schedule = &divisible{Pacer: p.Pacer}
		p.Pacer = this.schedule
	}
	if status, why := w.begin(asked.ID, this); status != 0 {
		refuse(rw, status, why)
		return
	}
	defer w.end(asked.ID)

	out := newLines(rw)
	defer out.close()
	out.send(runLine{}) // the plan is accepted
	defer context.AfterFunc(w.leaving, func() { out.send(runLine{Leaving: true}) })()
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

// begin registers a run. If it may not begin, begin returns a status and the reason.
func (w *Worker) begin(id string, r *workerRun) (status int, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.leaving.Err() != nil:
		return http.StatusServiceUnavailable, "the worker is leaving"
	case w.runs[id] != nil:
		return http.StatusTooManyRequests, "a run with this ID is in progress"
	case len(w.runs) >= w.cfg.MaxRuns:
		return http.StatusTooManyRequests, "too many runs are in progress"
	}
	w.runs[id] = r
	return 0, ""
}

func (w *Worker) end(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.runs, id)
	w.idleLocked()
}

// lookup returns the run with the ID in the path of r, or nil after refusing r.
func (w *Worker) lookup(rw http.ResponseWriter, r *http.Request) *workerRun {
	w.mu.Lock()
	defer w.mu.Unlock()
	this := w.runs[r.PathValue("id")]
	if this == nil {
		refuse(rw, http.StatusNotFound, "unknown run")
	}
	return this
}

func (w *Worker) stop(rw http.ResponseWriter, r *http.Request) {
	if this := w.lookup(rw, r); this != nil {
		this.cancel(nil)
		rw.WriteHeader(http.StatusNoContent)
	}
}

// give gives up a share of the rest of a run.
func (w *Worker) give(rw http.ResponseWriter, r *http.Request) {
	var asked giveRequest
	if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 1<<10)).Decode(&asked); err != nil {
		refuse(rw, http.StatusBadRequest, "cannot parse the share: "+err.Error())
		return
	}
	if asked.From < 0 || asked.Of < 1 || asked.Part < 0 || asked.Part >= asked.Of {
		refuse(rw, http.StatusUnprocessableEntity, "want from_ns of at least 0, and a part from 0 of at least one")
		return
	}
	this := w.lookup(rw, r)
	if this == nil {
		return
	}
	from := asked.From
	if this.schedule != nil {
		from = this.schedule.give(asked)
	} else {
		this.cancel(loadtest.ErrFinish)
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(giveReply{from}) // without it, the coordinator ends the run
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

// send writes one line, unless the answer has ended. It ignores errors: when the
// connection breaks, the context of the run ends.
func (l *lines) send(line runLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		return
	}
	_ = l.out.Encode(line)
	_ = l.push.Flush()
	l.last = time.Now()
}

func (l *lines) close() {
	close(l.quit)
	l.wait.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = nil // Leave may come later
}
