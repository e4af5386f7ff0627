package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/internal/exposition"
	"github.com/serin-go/serin/internal/modelserver"
)

// ServerMetrics describes the metrics pages of the servers under test. [ServerMetrics.Watch]
// reads them during a run, on the clock of the client.
type ServerMetrics struct {
	// Pages are the pages to read, one for each server and each DCGM exporter. Required.
	Pages []MetricsPage
	// Model selects the series of one model, where a server has several. Default: all.
	Model string
	// Every is the time between reads, from 100 ms to 1 h. Default 1 s.
	Every time.Duration
	// Timeout is the time limit for one page. Default 2 s.
	Timeout time.Duration
	// HourlyPrice is the price of an hour of all servers together, in any currency. It
	// sets [ServerSide].CostPerGoodToken. 0 means unknown.
	HourlyPrice float64
	// Client reads the pages. If nil, a client of its own does. Redirects are not
	// followed.
	Client *http.Client
}

// MetricsPage is one page in the format of Prometheus.
type MetricsPage struct {
	// URL is the address of the page, such as "http://10.0.0.7:8000/metrics".
	URL string
	// Kind is the kind of the server: "vllm", "sglang", "tgi", "llama.cpp", "triton", or
	// "dcgm" for an exporter of GPUs.
	Kind string
	// Header is added to the request, such as Authorization.
	Header http.Header
}

// Names of the figures of servers.
const (
	figureRunning      = "running"         // requests that are processed
	figureWaiting      = "waiting"         // requests in the queue
	figureKVUse        = "kv_use"          // share of the KV cache in use, 0 to 1, the largest of all servers
	figureTokens       = "kv_tokens"       // tokens in the KV cache
	figurePreemptions  = "preemptions"     // a counter
	figureGenerated    = "output_tokens"   // a counter, of all clients of the server
	figureCacheQueries = "cache_queries"   // a counter, in tokens
	figureCacheHits    = "cache_hits"      // a counter, in tokens
	figureGPUUse       = "gpu_use"         // mean share of the time in which GPUs are in use, 0 to 1
	figurePower        = "gpu_power_watts" // of all GPUs
	figureEnergy       = "gpu_energy_joules"
)

// serverFigure is one figure of servers.
type serverFigure struct {
	name    string
	signal  modelserver.Signal // -1 for GPUs
	counter bool
	largest bool // of several servers, instead of the sum
}

var serverFigures = []serverFigure{
	{figureRunning, modelserver.Running, false, false}, {figureWaiting, modelserver.Waiting, false, false},
	{figureKVUse, modelserver.KVUse, false, true}, {figureTokens, modelserver.Tokens, false, false},
	{figurePreemptions, modelserver.Preemptions, true, false}, {figureGenerated, modelserver.Generated, true, false},
	{figureCacheQueries, modelserver.CacheQueries, true, false}, {figureCacheHits, modelserver.CacheHits, true, false},
	{figureGPUUse, -1, false, false}, {figurePower, -1, false, false}, {figureEnergy, -1, true, false},
}

// dcgmKind is the kind of a page of GPUs.
const dcgmKind = "dcgm"

// ServerSide is what the servers reported about themselves during a run. A figure that a
// server does not have, or could not be read, is missing and never zero.
type ServerSide struct {
	// Samples are in the order of time, up to 600 for a run of any length.
	Samples []ServerSample `json:"samples,omitempty"`
	// Reads were made of the pages, and Failed of them failed. FirstError is the first
	// reason.
	Reads      int    `json:"reads"`
	Failed     int    `json:"failed,omitempty"`
	FirstError string `json:"first_error,omitempty"`
	// Added is by how much each counter rose during the run, summed up over the servers:
	// "preemptions", "output_tokens" (for all clients), "cache_queries" and "cache_hits"
	// (in tokens), and "gpu_energy_joules". A counter that was reset, by a restart of its
	// server, or that was not on the page all the time is missing.
	Added map[string]float64 `json:"added,omitempty"`
	// Impossible are the names of the figures with a value that cannot be: a negative one
	// or one that is not finite, a share above 1, more cache hits than queries, or GPUs
	// that took no energy. Such values are left out, and so are the counters.
	Impossible []string `json:"impossible,omitempty"`
	// CacheHitRate is the share of the tokens looked up in the prefix cache that were
	// found, 0 to 1, or nil if unknown.
	CacheHitRate *float64 `json:"cache_hit_rate,omitempty"`
	// EnergyPerGoodToken is in joules, and CostPerGoodToken in the currency of
	// HourlyPrice, for each output token of an answer that kept the first SLO, or of any
	// answer without SLOs. Tokens of the warm-up and the cool-down do not count, but their
	// time and energy do. They are nil if unknown. The energy is of the GPUs.
	EnergyPerGoodToken *float64 `json:"joules_per_good_token,omitempty"`
	CostPerGoodToken   *float64 `json:"cost_per_good_token,omitempty"`
}

// ServerSample has the figures of all servers together at one instant.
type ServerSample struct {
	// At is the instant in seconds since the start of the run, by the clock of the
	// client: the middle between the request for a page and its end.
	At float64 `json:"at_s"`
	// Values are by name: "running" and "waiting" requests, "kv_use" (share of the KV
	// cache, 0 to 1, the largest of the servers), "kv_tokens", "gpu_use" (mean share of
	// time, 0 to 1) and "gpu_power_watts".
	Values map[string]float64 `json:"values"`
}

// Validate returns an error that joins a [*checks.InvalidError] for each invalid field.
func (m ServerMetrics) Validate() error {
	var errs []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, invalid("ServerMetrics."+field, value, want))
		}
	}
	check(len(m.Pages) > 0, "Pages", "[]", "at least one")
	for i, p := range m.Pages {
		u, err := url.Parse(p.URL)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", fmt.Sprintf("Pages[%d].URL", i), bareURL(p.URL), "an http or https URL of a metrics page")
		kind := modelserver.Kind(p.Kind)
		check(p.Kind == dcgmKind || kind.Has(modelserver.Running), fmt.Sprintf("Pages[%d].Kind", i), p.Kind, "vllm, sglang, tgi, llama.cpp, triton or dcgm")
	}
	check(m.Every == 0 || m.Every >= 100*time.Millisecond && m.Every <= time.Hour, "Every", m.Every.String(), "100ms to 1h, or 0 for 1s")
	check(m.Timeout >= 0, "Timeout", m.Timeout.String(), "more than 0, or 0 for 2s")
	check(m.HourlyPrice >= 0 && !math.IsInf(m.HourlyPrice, 1), "HourlyPrice", m.HourlyPrice, "a price, or 0 if unknown")
	return errors.Join(errs...)
}

// bareURL returns a URL without what may be secret in it.
func bareURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "a URL that cannot be parsed"
	}
	return shown(u)
}

// Watch returns a Runner that runs plans by run, reads the pages meanwhile, and sets
// [Report].Server. A page that cannot be read does not end the run. The Runner returns the
// errors of [ServerMetrics.Validate] and of run.
func (m ServerMetrics) Watch(run Runner) Runner {
	return func(ctx context.Context, p Plan) (*Report, error) {
		if err := m.Validate(); err != nil {
			return nil, err
		}
		w := newScraper(m)
		stop := w.start(ctx)
		report, err := run(ctx, p)
		stop()
		if err != nil {
			return report, err
		}
		report.Server = w.conclude(report)
		return report, nil
	}
}

const (
	maxSamples         = 600
	defaultEvery       = time.Second
	defaultPageTimeout = 2 * time.Second
)

// scraper reads the pages of one run.
type scraper struct {
	m      ServerMetrics
	client *http.Client

	side    ServerSide
	samples []instantSample
	skip    int // samples between two that are kept
	seen    int
	// By page and figure: the first and the last value of counters. A counter that was
	// reset is NaN.
	first, last []map[string]float64
	impossible  map[string]bool // by figure
}

// instantSample is a sample before the start of the run is known.
type instantSample struct {
	at     time.Time
	values map[string]float64
}

func newScraper(m ServerMetrics) *scraper {
	m.Every, m.Timeout = cmp.Or(m.Every, defaultEvery), cmp.Or(m.Timeout, defaultPageTimeout)
	w := &scraper{m: m, client: m.Client, skip: 1, first: make([]map[string]float64, len(m.Pages)), last: make([]map[string]float64, len(m.Pages)), impossible: make(map[string]bool)}
	if w.client == nil {
		w.client = &http.Client{Transport: NewTransport(1)}
	}
	own := *w.client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w.client = &own
	return w
}

// start reads the pages immediately and then at intervals. stop reads them a last time.
func (w *scraper) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		w.read(ctx)
		tick := time.NewTicker(w.m.Every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.read(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		wait.Wait()
		w.read(context.WithoutCancel(ctx))
		if w.m.Client == nil {
			w.client.CloseIdleConnections()
		}
	}
}

// read reads all pages at the same time.
func (w *scraper) read(ctx context.Context) {
	type answer struct {
		values     map[string]float64
		impossible []string
		begin, end time.Time
		err        error
	}
	answers := make([]answer, len(w.m.Pages))
	var wait sync.WaitGroup
	for i, p := range w.m.Pages {
		wait.Go(func() {
			a := &answers[i]
			a.begin = time.Now()
			a.values, a.impossible, a.err = w.page(ctx, p)
			a.end = time.Now()
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return // the run has ended; stop reads once more
	}
	sample := instantSample{values: make(map[string]float64)}
	sum, n := time.Duration(0), 0
	for i, a := range answers {
		w.side.Reads++
		if a.err != nil {
			w.side.Failed++
			if w.side.FirstError == "" {
				w.side.FirstError = cut(bareURL(w.m.Pages[i].URL) + ": " + a.err.Error())
			}
			continue
		}
		sum += a.begin.Sub(answers[0].begin) + a.end.Sub(a.begin)/2
		n++
		w.count(i, a.values)
		for _, name := range a.impossible {
			w.impossible[name] = true
		}
	}
	if n < len(answers) {
		return // a sum without one of the servers is not comparable
	}
	sample.at = answers[0].begin.Add(sum / time.Duration(n))
	for _, f := range serverFigures {
		whole, pages := 0.0, 0
		for i, a := range answers {
			v, ok := a.values[f.name]
			switch {
			case !ok && w.lacks(i, f):
				continue
			case !ok:
				pages = -len(answers)
			case f.largest:
				whole = max(whole, v)
			default:
				whole += v
			}
			pages++
		}
		if pages > 0 && !math.IsInf(whole, 0) {
			if f.name == figureGPUUse {
				whole /= float64(pages)
			}
			sample.values[f.name] = whole
		}
	}
	w.keep(sample)
}

// lacks reports whether the kind of a page has no metric for a figure.
func (w *scraper) lacks(page int, f serverFigure) bool {
	kind := w.m.Pages[page].Kind
	if kind == dcgmKind || f.signal < 0 {
		return kind != dcgmKind || f.signal >= 0
	}
	return !modelserver.Kind(kind).Has(f.signal)
}

// count notes the counters of a page.
func (w *scraper) count(page int, values map[string]float64) {
	begins := w.first[page] == nil
	if begins {
		w.first[page], w.last[page] = make(map[string]float64), make(map[string]float64)
	}
	for _, f := range serverFigures {
		if !f.counter {
			continue
		}
		v, ok := values[f.name]
		switch {
		case !ok: // by how much it rises is not known
			w.first[page][f.name] = math.NaN()
		case begins:
			w.first[page][f.name] = v
		case v < w.last[page][f.name]:
			w.first[page][f.name] = math.NaN() // it was reset
		}
		w.last[page][f.name] = v
	}
}

// keep keeps a sample. When there are too many, every second one is dropped.
func (w *scraper) keep(s instantSample) {
	w.seen++
	if (w.seen-1)%w.skip != 0 {
		return
	}
	w.samples = append(w.samples, s)
	if len(w.samples) > maxSamples {
		half := (len(w.samples) + 1) / 2
		for i := range half {
			w.samples[i] = w.samples[2*i]
		}
		w.samples = w.samples[:half]
		w.skip *= 2
	}
}

// page reads one page. It returns the names of the figures that are impossible.
func (w *scraper) page(ctx context.Context, p MetricsPage) (values map[string]float64, impossible []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.m.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return nil, nil, errors.New("not a URL")
	}
	for name, values := range p.Header {
		r.Header[name] = values
	}
	r.Header.Set("Accept", exposition.Accept)
	resp, err := w.client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxHead))
		return nil, nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := exposition.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, err
	}
	values = make(map[string]float64)
	put := func(name string, v modelserver.Value) {
		switch share := name == figureKVUse || name == figureGPUUse; {
		case v.Known && share && v.Value > 1, v.Invalid:
			impossible = append(impossible, name)
		case v.Known:
			values[name] = v.Value
		}
	}
	contentType := resp.Header.Get("Content-Type")
	if p.Kind == dcgmKind {
		g, err := modelserver.ReadGPUs(body, contentType)
		if err != nil {
			return nil, nil, err
		}
		put(figureGPUUse, g.Use)
		put(figurePower, g.Power)
		put(figureEnergy, g.Energy)
	} else {
		load, err := modelserver.Read(body, contentType, modelserver.Kind(p.Kind), w.m.Model)
		if err != nil {
			return nil, nil, err
		}
		for _, f := range serverFigures {
			if f.signal >= 0 {
				put(f.name, load.Values[f.signal])
			}
		}
	}
	if len(values)+len(impossible) == 0 {
		return nil, nil, fmt.Errorf("the page has no metric of %s", p.Kind)
	}
	return values, impossible, nil
}

// conclude returns what the servers reported during a run.
func (w *scraper) conclude(r *Report) *ServerSide {
	s := w.side
	for _, one := range w.samples {
		values := one.values
		for _, f := range serverFigures {
			if f.counter {
				delete(values, f.name)
			}
		}
		s.Samples = append(s.Samples, ServerSample{At: one.at.Sub(r.Began).Seconds(), Values: values})
	}
	s.Added = make(map[string]float64)
	for _, f := range serverFigures {
		total, some := 0.0, false
		for i := range w.m.Pages {
			if !f.counter || w.lacks(i, f) {
				continue
			}
			if w.first[i] == nil {
				total = math.NaN() // the page was never read
				continue
			}
			from, ok := w.first[i][f.name]
			if !ok {
				from = math.NaN()
			}
			total, some = total+w.last[i][f.name]-from, true
		}
		if some && !math.IsNaN(total) && !math.IsInf(total, 0) {
			s.Added[f.name] = total
		}
	}
	if queries, ok := s.Added[figureCacheQueries]; ok && s.Added[figureCacheHits] > queries {
		w.impossible[figureCacheHits], w.impossible[figureCacheQueries] = true, true
	}
	if joules, ok := s.Added[figureEnergy]; ok && joules == 0 {
		w.impossible[figureEnergy] = true
	}
	for _, f := range serverFigures {
		if w.impossible[f.name] {
			s.Impossible = append(s.Impossible, f.name)
			delete(s.Added, f.name)
		}
	}
	ratio := func(v, of float64) *float64 {
		if !(of > 0) {
			return nil
		}
		v /= of
		return &v
	}
	if hits, ok := s.Added[figureCacheHits]; ok {
		s.CacheHitRate = ratio(hits, s.Added[figureCacheQueries])
	}
	good := float64(r.goodTokens())
	if joules, ok := s.Added[figureEnergy]; ok {
		s.EnergyPerGoodToken = ratio(joules, good)
	}
	if w.m.HourlyPrice > 0 {
		s.CostPerGoodToken = ratio(w.m.HourlyPrice*r.Elapsed.Hours(), good)
	}
	return &s
}

// mean returns the mean and the largest value of a figure, and whether it is known.
func (s *ServerSide) mean(name string) (mean, most float64, ok bool) {
	n := 0
	for _, one := range s.Samples {
		if v, known := one.Values[name]; known {
			mean, most, n = mean+v, max(most, v), n+1
		}
	}
	return mean / float64(max(1, n)), most, n > 0
}

// String returns one line of text.
func (s *ServerSide) String() string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	for _, f := range []struct {
		name, text string
		scale      float64
		unit       string
	}{
		{figureRunning, "running", 1, ""}, {figureWaiting, "waiting", 1, ""}, {figureKVUse, "KV cache", 100, " %"},
		{figureGPUUse, "GPUs", 100, " %"}, {figurePower, "power", 1, " W"},
	} {
		if mean, most, ok := s.mean(f.name); ok {
			add("%s %.3g%s, up to %.3g%s", f.text, f.scale*mean, f.unit, f.scale*most, f.unit)
		}
	}
	if n, ok := s.Added[figurePreemptions]; ok {
		add("%.4g preemptions", n)
	}
	if s.CacheHitRate != nil {
		add("prefix cache hits %.3g %%", 100**s.CacheHitRate)
	}
	if s.EnergyPerGoodToken != nil {
		add("%.3g J per good token", *s.EnergyPerGoodToken)
	}
	if s.CostPerGoodToken != nil {
		add("%.3g for a million good tokens", 1e6**s.CostPerGoodToken)
	}
	if len(s.Impossible) > 0 {
		add("left out, since values were impossible: %s", strings.Join(s.Impossible, ", "))
	}
	if s.Failed > 0 {
		add("%d of %d reads failed: %s", s.Failed, s.Reads, s.FirstError)
	}
	if len(parts) == 0 {
		return "nothing was reported"
	}
	return strings.Join(parts, "; ")
}

// line returns the course of a figure for a plot.
func (s *ServerSide) line(name, text, colour string, scale float64) line {
	l := line{name: text, colour: colour}
	for _, one := range s.Samples {
		if v, ok := one.Values[name]; ok && one.At >= 0 {
			l.x, l.y = append(l.x, one.At), append(l.y, scale*v)
		}
	}
	return l
}

// plots returns the plots of the figures that are known.
func (s *ServerSide) plots() (plots []template.HTML) {
	for _, p := range []struct {
		title, unit string
		lines       []line
	}{
		{"Requests in the server", "", []line{s.line(figureRunning, "running", blue, 1), s.line(figureWaiting, "waiting", orange, 1)}},
		{"KV cache and GPUs in use", "%", []line{s.line(figureKVUse, "KV cache", green, 100), s.line(figureGPUUse, "GPUs", orange, 100)}},
	} {
		known := slices.DeleteFunc(p.lines, func(l line) bool { return len(l.x) == 0 })
		if len(known) > 0 {
			plots = append(plots, plot(p.title, "s", p.unit, known...))
		}
	}
	return plots
}
