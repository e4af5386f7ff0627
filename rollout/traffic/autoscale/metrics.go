package autoscale

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/exposition"
	"github.com/serin-go/serin/internal/modelserver"
)

// MetricsConfig configures a [Metrics] source. Replicas, Kind and one target are required.
type MetricsConfig struct {
	// Replicas returns the URLs of the metrics pages of the replicas of an arm that serve,
	// such as http://10.0.0.7:8000/metrics. It is safe for concurrent use.
	Replicas func(ctx context.Context, arm string) ([]string, error) `env:", noinit"`
	// Desired returns the number of replicas that the actuator was last asked for, such as
	// [Kubernetes.Desired]. Default: the number of Replicas.
	Desired func(ctx context.Context, arm string) (int, error) `env:", noinit"`
	// Kind is the kind of the servers: "vllm", "sglang", "tgi", "llama.cpp" or "triton".
	Kind string `env:"KIND"`
	// Waiting and Running are the numbers of requests in the queue, and in progress, that
	// one replica should have; 30 waiting requests are a usual target. 0: not a signal.
	Waiting float64 `env:"WAITING"`
	Running float64 `env:"RUNNING"`
	// KVUse is the share of the KV cache that should be in use, such as 0.6. 0: not a signal.
	KVUse float64 `env:"KV_USE"`
	// Tokens is the number of tokens in the KV cache that one replica should have. 0: not a
	// signal.
	Tokens float64 `env:"TOKENS"`
	// TTFT is the time to first token that 95 % of the requests should not exceed. It is
	// measured over the last minute. 0: not a signal.
	TTFT time.Duration `env:"TTFT"`
	// Timeout is the time limit for one page. Default 2 s.
	Timeout time.Duration `env:"TIMEOUT"`
	// Parallel is the largest number of pages that are read at the same time. Default 16.
	Parallel int `env:"PARALLEL"`
	// Client sends the requests, and Header is added to them. Default: a client that keeps
	// its connections. Redirects are not followed.
	Client *http.Client `env:", noinit"`
	Header http.Header  `env:", noinit"`
}

// targets returns the targets by signal. 0 means that a signal is not used.
func (c MetricsConfig) targets() [modelserver.TTFT + 1]float64 {
	return [...]float64{modelserver.Running: c.Running, modelserver.Waiting: c.Waiting, modelserver.KVUse: c.KVUse,
		modelserver.Tokens: c.Tokens, modelserver.TTFT: c.TTFT.Seconds()}
}

// signalFields are the fields of MetricsConfig by signal.
var signalFields = [...]string{modelserver.Running: "Running", modelserver.Waiting: "Waiting", modelserver.KVUse: "KVUse",
	modelserver.Tokens: "Tokens", modelserver.TTFT: "TTFT"}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c MetricsConfig) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "autoscale", Field: "MetricsConfig." + field, Value: value, Want: want})
	}
	if c.Replicas == nil {
		bad("Replicas", nil, "a function")
	}
	kind := modelserver.Kind(c.Kind)
	known := kind.Has(modelserver.Waiting)
	if !known {
		bad("Kind", c.Kind, "vllm, sglang, tgi, llama.cpp or triton")
	}
	used := 0
	for s, target := range c.targets() {
		field := signalFields[s]
		switch {
		case field == "" || target == 0:
			continue
		case !(target > 0) || math.IsInf(target, 1):
			bad(field, target, "a positive target, or 0 for none")
		case s == int(modelserver.KVUse) && target > 1:
			bad(field, target, "a share from 0 to 1")
		case known && !kind.Has(modelserver.Signal(s)):
			bad(field, target, "0, since "+c.Kind+" has no such metric")
		}
		used++
	}
	if used == 0 {
		bad("Waiting", c.Waiting, "a positive target, or one of another signal")
	}
	if c.Timeout < 0 {
		bad("Timeout", c.Timeout, "a positive duration, or 0 for the default")
	}
	if c.Parallel < 0 {
		bad("Parallel", c.Parallel, "a positive number, or 0 for the default")
	}
	return errors.Join(errs...)
}

// Metrics is a [Source] that reads the metrics pages of model servers: requests in the queue
// and in progress, use of the KV cache, tokens, time to first token. A replica whose page
// cannot be read, or does not have the metric, is missing in the signal; it does not count
// as zero. Both names of the KV cache of vLLM are read, and the newer one counts. The signals
// are for mode HPA. Input.Idle stays 0, so that this source never scales to zero. Make one
// with [NewMetrics]. It is safe for concurrent use.
type Metrics struct {
	cfg    MetricsConfig
	client http.Client

	mu    sync.Mutex
	looks map[string]map[string][]look // by arm and URL, the oldest first
}

var _ Source = (*Metrics)(nil)

// look is a histogram of the time to first token at one time.
type look struct {
	at   time.Time
	ttft exposition.Buckets
}

// window is the time over which quantiles are measured, and looksMax bounds the looks in it.
const (
	window   = time.Minute
	looksMax = 10
)

// NewMetrics returns a source that has read nothing yet. It returns the errors of
// [MetricsConfig.Validate].
func NewMetrics(c MetricsConfig) (*Metrics, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Timeout, c.Parallel = cmp.Or(c.Timeout, 2*time.Second), cmp.Or(c.Parallel, 16)
	c.Header = c.Header.Clone()
	m := &Metrics{cfg: c, looks: make(map[string]map[string][]look)}
	if c.Client != nil {
		m.client = *c.Client
	}
	m.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return m, nil
}

// page is what one page has.
type page struct {
	url  string
	load modelserver.Load
	err  error
}

// Measure reads the pages of all replicas of an arm. It returns an error if Replicas or
// Desired fails, and if there are replicas and no page can be read: one [*PageError] for
// each, joined. An arm without replicas has no signals.
func (m *Metrics) Measure(ctx context.Context, arm string) (Input, error) {
	urls, err := m.cfg.Replicas(ctx, arm)
	if err != nil {
		return Input{}, fmt.Errorf("autoscale: metrics: replicas of %s: %w", arm, err)
	}
	urls = slices.Sorted(slices.Values(urls))
	urls = slices.Compact(urls)
	in := Input{Ready: len(urls), Desired: len(urls), Stable: -1, Panic: -1}
	if m.cfg.Desired != nil {
		if in.Desired, err = m.cfg.Desired(ctx, arm); err != nil {
			return Input{}, fmt.Errorf("autoscale: metrics: desired replicas of %s: %w", arm, err)
		}
		if in.Desired < 0 {
			return Input{}, &checks.InvalidError{Package: "autoscale", Field: "Desired", Value: in.Desired, Want: "a number from 0 on"}
		}
	}
	in.Starting = max(0, in.Desired-in.Ready)
	pages := m.read(ctx, urls)
	var errs []error
	for _, p := range pages {
		if p.err != nil {
			errs = append(errs, p.err)
		}
		if r := p.load.Values[modelserver.Running]; !r.Known || r.Value > 0 {
			in.Busy++ // a replica that may have streams is kept
		}
	}
	if len(errs) > 0 && len(errs) == len(pages) {
		return Input{}, errors.Join(errs...)
	}
	if len(pages) == 0 {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.looks, arm)
		return in, nil
	}
	for s, target := range m.cfg.targets() {
		if target == 0 {
			continue
		}
		signal := Signal{Name: modelserver.Signal(s).String(), Target: target}
		if modelserver.Signal(s) == modelserver.TTFT {
			signal.Sum, signal.Known = m.ttft(arm, pages)
		} else {
			for _, p := range pages {
				if v := p.load.Values[s]; v.Known && !math.IsInf(v.Value, 0) {
					signal.Sum += v.Value
					signal.Known++
				}
			}
		}
		in.Signals = append(in.Signals, signal)
	}
	return in, nil
}

// ttft returns the number of replicas of which the last minute is known, and as many times
// the 95th percentile of their requests in it. Without requests it is 0.
func (m *Metrics) ttft(arm string, pages []page) (sum float64, known int) {
	now := time.Now()
	var all exposition.Buckets
	m.mu.Lock()
	defer m.mu.Unlock()
	before, after := m.looks[arm], make(map[string][]look)
	for _, p := range pages {
		looks := before[p.url]
		if p.err != nil || len(p.load.TTFT) == 0 {
			after[p.url] = looks
			continue
		}
		for len(looks) > 1 && now.Sub(looks[1].at) >= window {
			looks = looks[1:]
		}
		if len(looks) > 0 {
			increase, ok := p.load.TTFT.Since(looks[0].ttft)
			if ok {
				all.Merge(increase)
				known++
			} else { // the server has restarted
				looks = nil
			}
		}
		if len(looks) == 0 || now.Sub(looks[len(looks)-1].at) >= window/looksMax {
			looks = append(slices.Clone(looks), look{now, p.load.TTFT})
		}
		after[p.url] = looks
	}
	m.looks[arm] = after
	if all.Count() == 0 {
		return 0, known
	}
	p95, ok := all.Quantile(0.95)
	if !ok {
		return 0, 0
	}
	return p95 * float64(known), known
}

// read reads pages, as many at a time as allowed.
func (m *Metrics) read(ctx context.Context, urls []string) []page {
	pages := make([]page, len(urls))
	room := make(chan struct{}, m.cfg.Parallel)
	var work sync.WaitGroup
	for i, u := range urls {
		room <- struct{}{}
		work.Go(func() {
			defer func() { <-room }()
			pages[i].url = u
			pages[i].load, pages[i].err = m.load(ctx, u)
		})
	}
	work.Wait()
	return pages
}

// PageError means that the metrics page of a replica cannot be read.
type PageError struct {
	// URL is the address of the page, without user and query.
	URL string
	Err error
}

// Error returns the address and the reason.
func (e *PageError) Error() string { return "autoscale: metrics: " + e.URL + ": " + e.Err.Error() }

// Unwrap returns the reason: an error of the connection, a [*StatusError], or an error that
// names the line of the page.
func (e *PageError) Unwrap() error { return e.Err }

// errRedirect means that a page redirects to an address that is not valid.
var errRedirect = errors.New("the page redirects to an address that is not valid")

// load reads one page.
func (m *Metrics) load(ctx context.Context, address string) (load modelserver.Load, err error) {
	shown := "a URL that is not valid"
	defer func() {
		if err != nil {
			load, err = modelserver.Load{}, &PageError{URL: shown, Err: err}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return load, &checks.InvalidError{Package: "autoscale", Field: "Replicas", Value: shown, Want: "URLs such as http://10.0.0.7:8000/metrics"}
	}
	shown = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return load, err
	}
	maps.Copy(req.Header, m.cfg.Header.Clone())
	req.Header.Set("Accept", exposition.Accept)
	resp, err := m.client.Do(req)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err // without the URL, which may hold secrets
		}
		if strings.Contains(err.Error(), "Location") {
			err = errRedirect // it quotes the address, which may hold secrets
		}
		return load, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return load, &StatusError{Request: "GET " + u.Path, Code: resp.StatusCode, Message: "want 200"}
	}
	text, err := exposition.ReadAll(resp.Body)
	if err != nil {
		return load, err
	}
	return modelserver.Read(text, resp.Header.Get("Content-Type"), modelserver.Kind(m.cfg.Kind), "")
}
