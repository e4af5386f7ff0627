package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
	"github.com/serin-go/serin/internal/exposition"
	"github.com/serin-go/serin/internal/modelserver"
)

// ServerOptions configures [Server]. URL and Kind are required.
type ServerOptions struct {
	// URL is the base URL of the API, with or without "/v1": "http://10.0.0.7:8000".
	URL string
	// MetricsURL is the address of the metrics page. Default: /metrics at URL; for Triton,
	// port 8002 of the same host. At most 16 MiB of it are read.
	MetricsURL string
	// Kind is the kind of the server: "vllm", "sglang", "tgi", "llama.cpp", "triton" or
	// "ollama".
	Kind string
	// Model is the name of the model that the server must offer. Default: not looked at.
	Model string
	// MaxRunning and MaxWaiting limit the requests in progress and in the queue. Default: no
	// limit.
	MaxRunning, MaxWaiting int
	// MaxKVUse limits the share of the KV cache in use, from 0 to 1. Default: no limit.
	MaxKVUse float64
	// Watch is how long the check watches for preempted requests: it reads the page a second
	// time after Watch. MaxPreemptions is the number that is allowed meanwhile. Watch must be
	// below MaxTime. Default: preemptions are not looked at.
	Watch          time.Duration
	MaxPreemptions int
	// Header is added to each request, such as Authorization.
	Header http.Header
	// MaxTime is the time limit. Default 10 s.
	MaxTime time.Duration
	// Client sends the requests. Default: a client that keeps no connections.
	Client *http.Client
}

// Server returns a check of a model server: its queue, its KV cache and its preemptions are
// within limits, by its own metrics page, and it offers the model, by /v1/models (Ollama:
// /api/tags; Triton: /v2/models/NAME/ready). Counts are sums over the engines of the server;
// the use of the KV cache is the largest of them.
//
// A signal with a limit that the page does not have is Unknown, and the result lists the names
// that are similar. vLLM and SGLang must have the running and the waiting requests and the
// use of the KV cache in any case. Of vLLM's two names of the latter, the newer counts. Ollama
// has no metrics page. Evidence: running, waiting, KV use, tokens, preemptions, models,
// similar.
func Server(o ServerOptions) checks.Check {
	bad := &invalid{options: "ServerOptions"}
	base := bad.url("URL", o.URL, "https", "http")
	kind := modelserver.Kind(o.Kind)
	metrics := o.metricsURL(base)
	if o.MetricsURL != "" {
		metrics = bad.url("MetricsURL", o.MetricsURL, "https", "http")
	}
	o.invalid(bad, kind)
	o.Header = o.Header.Clone()
	c := client(o.Client)
	requirements := []any{shown(base), shown(metrics), o.Kind, o.Model, o.MaxRunning, o.MaxWaiting, o.MaxKVUse, o.Watch, o.MaxPreemptions, o.MaxTime}
	if bad.err() != nil {
		requirements = nil
	}
	return probing.New("server", o.MaxTime, requirements, bad.err(), func(ctx context.Context) checks.Result {
		f := &findings{evidence: make(map[string]string)}
		if o.Model != "" || kind == modelserver.Ollama {
			if end := o.offers(ctx, c, base, f); end != nil {
				return *end
			}
		}
		if kind != modelserver.Ollama {
			if end := o.load(ctx, c, metrics, f); end != nil {
				end.Evidence = f.evidence
				if len(f.failures) > 0 { // the model is missing, whatever its load
					return f.result(shown(base), "")
				}
				return *end
			}
		}
		return f.result(shown(base), "the server is within its limits")
	})
}

// invalid adds what is wrong with limits.
func (o *ServerOptions) invalid(bad *invalid, kind modelserver.Kind) {
	if !kind.Valid() {
		bad.add("Kind", o.Kind, "vllm, sglang, tgi, llama.cpp, triton or ollama")
	}
	for _, limit := range []struct {
		field  string
		value  float64
		signal modelserver.Signal
	}{
		{"MaxRunning", float64(o.MaxRunning), modelserver.Running}, {"MaxWaiting", float64(o.MaxWaiting), modelserver.Waiting},
		{"MaxKVUse", o.MaxKVUse, modelserver.KVUse}, {"Watch", float64(o.Watch), modelserver.Preemptions},
	} {
		switch {
		case !(limit.value >= 0):
			bad.add(limit.field, limit.value, "a positive number, or 0 for no limit")
		case limit.value > 0 && kind.Valid() && !kind.Has(limit.signal):
			bad.add(limit.field, limit.value, "0, since "+o.Kind+" has no such metric")
		}
	}
	if o.MaxKVUse > 1 {
		bad.add("MaxKVUse", o.MaxKVUse, "a share from 0 to 1")
	}
	bad.positive("MaxTime", o.MaxTime)
	most := o.MaxTime
	if most <= 0 {
		most = defaultTimeout
	}
	if o.Watch >= most {
		bad.add("Watch", o.Watch, "less than MaxTime")
	}
	if o.MaxPreemptions < 0 || o.MaxPreemptions > 0 && o.Watch == 0 {
		bad.add("MaxPreemptions", o.MaxPreemptions, "a number from 0 on, with Watch")
	}
	if kind == modelserver.Ollama && o.MetricsURL != "" {
		bad.add("MetricsURL", "a URL", "none, since ollama has no metrics page")
	}
}

// metricsURL is where the metrics page of a server is.
func (o *ServerOptions) metricsURL(base *url.URL) *url.URL {
	u := *base
	u.RawQuery, u.Fragment, u.RawPath = "", "", ""
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v1") + "/metrics"
	if o.Kind == string(modelserver.Triton) && u.Hostname() != "" {
		u.Host = net.JoinHostPort(u.Hostname(), "8002")
	}
	return &u
}

// offers looks whether the server offers the model. It returns a result if it could not look.
func (o *ServerOptions) offers(ctx context.Context, c *http.Client, base *url.URL, f *findings) *checks.Result {
	u := *base
	u.RawQuery, u.Fragment, u.RawPath = "", "", ""
	root := strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v1")
	switch modelserver.Kind(o.Kind) {
	case modelserver.Triton:
		u.Path = root
		u = *u.JoinPath("v2", "models", url.PathEscape(o.Model), "ready")
		_, _, end := get(ctx, c, &u, o.Header, readAll)
		var status *statusError
		if end != nil && errors.As(end.Err, &status) {
			switch status.status {
			case http.StatusBadRequest, http.StatusNotFound:
				f.fail("model %s is not ready", o.Model)
				return nil
			}
		}
		return end
	case modelserver.Ollama:
		u.Path = root + "/api/tags"
	default:
		u.Path = root + "/v1/models"
	}
	body, _, end := get(ctx, c, &u, o.Header, readAll)
	if end != nil {
		return end
	}
	var list struct {
		Data *[]struct {
			ID string `json:"id"`
		} `json:"data"`
		Models *[]struct {
			Name string `json:"name"`
		} `json:"models"`
	}
	err := json.Unmarshal(body, &list)
	var names []string
	switch {
	case err != nil:
	case o.Kind == string(modelserver.Ollama) && list.Models != nil:
		for _, m := range *list.Models {
			names = append(names, m.Name)
		}
	case o.Kind != string(modelserver.Ollama) && list.Data != nil:
		for _, m := range *list.Data {
			names = append(names, m.ID)
		}
	default:
		err = errors.New("it has no list of models")
	}
	if err != nil {
		return &checks.Result{Summary: shown(&u) + ": not a list of models", Err: err}
	}
	f.evidence["models"] = listed(names)
	if o.Model == "" || slices.Contains(names, o.Model) || o.Kind == string(modelserver.Ollama) && slices.Contains(names, o.Model+":latest") {
		return nil
	}
	f.fail("the server does not offer model %s", o.Model)
	return nil
}

// listed returns names as text, at most 10 and each of at most 100 bytes.
func listed(names []string) string {
	const most = 10
	var all []string
	for _, name := range names[:min(len(names), most)] {
		all = append(all, fmt.Sprintf("%.100s", name))
	}
	text := strings.Join(all, ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// load looks at the metrics page. It returns a result if it could not look.
func (o *ServerOptions) load(ctx context.Context, c *http.Client, u *url.URL, f *findings) *checks.Result {
	load, names, end := o.read(ctx, c, u)
	if end != nil {
		return end
	}
	kind := modelserver.Kind(o.Kind)
	some := false
	for s, v := range load.Values[:modelserver.Generated] {
		signal := modelserver.Signal(s)
		if v.Known {
			some = true
			f.evidence[signal.String()] = number(v.Value)
		} else if kind.Always(signal) || o.limit(signal) > 0 {
			f.missing(kind, signal, names)
		}
		if limit := o.limit(signal); v.Known && limit > 0 && v.Value > limit {
			f.fail("%s is %s, want at most %s", v.Name, number(v.Value), number(limit))
		}
	}
	if !some && len(f.errs) == 0 {
		f.missing(kind, modelserver.Waiting, names)
	}
	if o.Watch == 0 {
		return nil
	}
	select {
	case <-time.After(o.Watch):
	case <-ctx.Done():
		r := failed(ctx, shown(u), ctx.Err())
		return &r
	}
	later, names, end := o.read(ctx, c, u)
	if end != nil {
		return end
	}
	before, after := load.Values[modelserver.Preemptions], later.Values[modelserver.Preemptions]
	switch {
	case !before.Known || !after.Known:
		f.missing(kind, modelserver.Preemptions, names)
	case after.Value < before.Value:
		f.unknown(fmt.Errorf("%s decreased: the server has restarted", after.Name))
	default:
		n := after.Value - before.Value
		f.evidence[modelserver.Preemptions.String()] = fmt.Sprintf("%s in %v", number(n), o.Watch)
		if n > float64(o.MaxPreemptions) {
			f.fail("%s requests were preempted in %v, want at most %d", number(n), o.Watch, o.MaxPreemptions)
		}
	}
	return nil
}

// limit returns the limit of a signal, or 0.
func (o *ServerOptions) limit(s modelserver.Signal) float64 {
	switch s {
	case modelserver.Running:
		return float64(o.MaxRunning)
	case modelserver.Waiting:
		return float64(o.MaxWaiting)
	case modelserver.KVUse:
		return o.MaxKVUse
	}
	return 0
}

// missing notes that a signal is not known.
func (f *findings) missing(kind modelserver.Kind, s modelserver.Signal, names map[string]bool) {
	wanted := kind.Names(s)
	quoted := make([]string, len(wanted))
	for i, name := range wanted {
		quoted[i] = strconv.Quote(name)
	}
	f.unknown(&missingError{strings.Join(quoted, " or ")})
	f.similar(wanted[0], names)
}

// read reads the load of the server, and the names on its page.
func (o *ServerOptions) read(ctx context.Context, c *http.Client, u *url.URL) (modelserver.Load, map[string]bool, *checks.Result) {
	end := func(r checks.Result) (modelserver.Load, map[string]bool, *checks.Result) {
		return modelserver.Load{}, nil, &r
	}
	body, contentType, ended := page(ctx, c, u, o.Header)
	if ended != nil {
		return end(*ended)
	}
	model := "" // the metrics of the others name the model as it was loaded, not as it is asked for
	if o.Kind == string(modelserver.Triton) {
		model = o.Model
	}
	load, err := modelserver.Read(body, contentType, modelserver.Kind(o.Kind), model)
	if err != nil {
		return end(checks.Result{Summary: shown(u) + ": not a metrics page", Err: err})
	}
	names := make(map[string]bool)
	for s, err := range exposition.Parse(body, contentType) {
		if err == nil {
			names[s.Name] = true
		}
	}
	return load, names, nil
}
