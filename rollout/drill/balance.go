package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/evalue"
)

// BalanceOptions configure [Balance]. Send and Weights are required.
type BalanceOptions struct {
	// Send sends request number seq, from 0 on, through the load balancer, and returns
	// the name of the server that answered. It is called concurrently.
	Send func(ctx context.Context, seq int) (server string, err error)
	// Weights are the weights of 2 to 1,000 servers by name, from 1 to 1,000,000. A server
	// with weight 0 must not answer, like a server without a weight: if it does, the check
	// fails.
	Weights map[string]int
	// N is the number of requests, at most 1,000,000. Every server must expect at least 5.
	// Default 2,000.
	N int
	// Concurrency is the number of requests in flight, at most 1,000. Default 8.
	Concurrency int
	// MinP is the p-value below which the check fails. It is the probability of a false
	// alarm. Default 0.001.
	MinP float64
	// MaxFailed is the share of the requests that may fail, from 0 to below 1. With more
	// the check is Unknown, since the answers of the others say little.
	MaxFailed float64
	// Timeout is the limit of one request. A request without an answer has failed. Default
	// 30 s.
	Timeout time.Duration
}

// Balance returns a check that a load balancer follows its weights. It sends N requests,
// counts which server answered, and compares the counts with the weights by Pearson's
// chi-squared test of goodness of fit. It fails if p is below MinP, or if a server answers
// that has no weight.
//
// The test finds servers that get too much or too little. With the defaults and weights
// 1:2:1, a server that gets 20 % more than its share is found in 93 of 100 runs. A balancer
// that goes round robin is closer to the weights than chance, and passes. A balancer that
// looks at load follows its weights only if equal servers are equally fast.
func Balance(o BalanceOptions) checks.Check {
	v := options{name: "BalanceOptions"}
	v.function("Send", o.Send == nil)
	o.N, o.Concurrency, o.MinP = cmp.Or(o.N, 2000), cmp.Or(o.Concurrency, 8), cmp.Or(o.MinP, 0.001)
	o.Weights = maps.Clone(o.Weights)
	maps.DeleteFunc(o.Weights, func(_ string, w int) bool { return w == 0 })
	if n := len(o.Weights); n < 2 || n > 1000 {
		v.invalid("Weights", fmt.Sprintf("a map of %d", n), "2 to 1,000 servers with a weight above 0")
	}
	total, least := 0, math.MaxInt
	for _, server := range slices.Sorted(maps.Keys(o.Weights)) {
		w := o.Weights[server]
		if w < 1 || w > 1e6 {
			v.invalid(fmt.Sprintf("Weights[%.64q]", server), w, "0 to 1,000,000")
		}
		total, least = total+w, min(least, w)
	}
	if o.Concurrency < 1 || o.Concurrency > 1000 {
		v.invalid("Concurrency", o.Concurrency, "1 to 1,000, or 0 for 8")
	}
	if !(o.MinP > 0 && o.MinP < 1) {
		v.invalid("MinP", o.MinP, "above 0 and below 1, or 0 for 0.001")
	}
	if !(o.MaxFailed >= 0 && o.MaxFailed < 1) {
		v.invalid("MaxFailed", o.MaxFailed, "0 to below 1")
	}
	v.span("Timeout", &o.Timeout, 30*time.Second)
	switch {
	case o.N < 1 || o.N > 1e6:
		v.invalid("N", o.N, "1 to 1,000,000, or 0 for 2,000")
	case len(v.errs) == 0:
		answered := float64(o.N - int(o.MaxFailed*float64(o.N)))
		needed := math.Ceil(5 * float64(total) / float64(least) / (1 - o.MaxFailed))
		switch {
		case needed > 1e6:
			v.invalid("Weights", fmt.Sprintf("%d of %d", least, total), "a least weight that expects 5 of 1,000,000 answers")
		case answered*float64(least) < 5*float64(total):
			v.invalid("N", o.N, fmt.Sprintf("at least %.0f, so that the server with the least weight expects 5 answers", needed))
		}
	}
	return newDrill("balance", v.err(), func(r *run) checks.Result { return balance(r, o) },
		o.Weights, o.N, o.Concurrency, o.MinP, o.MaxFailed, o.Timeout)
}

// counts are the answers of a balance drill.
type counts struct {
	mu       sync.Mutex
	next     int
	answered map[string]int
	unknown  map[string]int // answers of servers without a weight
	failed   int
	err      error // of the first request that failed
}

func balance(r *run, o BalanceOptions) checks.Result {
	allowed := int(o.MaxFailed * float64(o.N))
	c := &counts{answered: make(map[string]int), unknown: make(map[string]int)}
	// take returns the number of the next request, or false after the last one.
	take := func() (int, bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.next >= o.N || c.failed > allowed || r.ctx.Err() != nil {
			return 0, false
		}
		c.next++
		return c.next - 1, true
	}
	note := func(server string, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch _, weighted := o.Weights[server]; {
		case err != nil && r.ctx.Err() != nil: // the run has ended
		case err != nil:
			c.failed++
			c.err = cmp.Or(c.err, err)
		case weighted:
			c.answered[server]++
		case len(c.unknown) < 16 || c.unknown[server] > 0:
			c.unknown[server]++
		default:
			c.unknown["others"]++
		}
	}
	var workers sync.WaitGroup
	for range min(o.Concurrency, o.N) {
		workers.Go(func() {
			for seq, ok := take(); ok; seq, ok = take() {
				note(call(r.ctx, r, "Send", o.Timeout, func(ctx context.Context) (string, error) { return o.Send(ctx, seq) }))
			}
		})
	}
	workers.Wait()
	return c.judge(r, o, allowed)
}

// judge returns the result of the answers.
func (c *counts) judge(r *run, o BalanceOptions, allowed int) checks.Result {
	evidence := map[string]string{"requests": fmt.Sprint(c.next), "failed": fmt.Sprint(c.failed)}
	n, total := 0, 0
	for server, w := range o.Weights {
		n, total = n+c.answered[server], total+w
	}
	servers := slices.Sorted(maps.Keys(o.Weights))
	var chi2 float64
	for _, server := range servers {
		want := float64(n) * float64(o.Weights[server]) / float64(total)
		got := c.answered[server]
		if want > 0 {
			chi2 += (float64(got) - want) * (float64(got) - want) / want
		}
		if len(servers) <= 32 {
			evidence["server "+clean(server)] = fmt.Sprintf("%d answers, %.4g expected", got, want)
		}
	}
	if len(c.unknown) > 0 {
		names := slices.Sorted(maps.Keys(c.unknown))
		evidence["without weight"] = fmt.Sprintf("%d answers of %d servers", sum(c.unknown), len(names))
		return checks.Result{Status: checks.Fail, Evidence: evidence,
			Summary: fmt.Sprintf("server %.64q answered %d of %d requests, and has no weight", clean(names[0]), c.unknown[names[0]], c.next)}
	}
	if c.failed > allowed {
		return r.unknown(evidence, fmt.Errorf("%d of %d requests failed, more than the %d allowed: %w", c.failed, c.next, allowed, c.err))
	}
	if r.ctx.Err() != nil {
		return r.ended(evidence)
	}
	if n == 0 {
		return r.unknown(evidence, errors.New("no request was answered"))
	}
	degrees := len(servers) - 1
	p := evalue.ChiSquaredTail(chi2, float64(degrees))
	evidence["chi-squared"], evidence["degrees of freedom"], evidence["p"] = fmt.Sprintf("%.4g", chi2), fmt.Sprint(degrees), fmt.Sprintf("%.4g", p)
	if !(p >= o.MinP) {
		worst := slices.MaxFunc(servers, func(a, b string) int {
			return cmp.Compare(c.excess(a, o, n, total), c.excess(b, o, n, total))
		})
		return checks.Result{Status: checks.Fail, Evidence: evidence, Summary: fmt.Sprintf(
			"the load balancer does not follow its weights: p %.3g is below %g; server %.64q answered %d of %d requests, %.4g expected",
			p, o.MinP, clean(worst), c.answered[worst], n, float64(n)*float64(o.Weights[worst])/float64(total))}
	}
	return checks.Result{Status: checks.Pass, Evidence: evidence,
		Summary: fmt.Sprintf("%d answers of %d servers follow the weights, p %.3g", n, len(servers), p)}
}

// excess returns how much a server adds to chi-squared.
func (c *counts) excess(server string, o BalanceOptions, n, total int) float64 {
	want := float64(n) * float64(o.Weights[server]) / float64(total)
	return (float64(c.answered[server]) - want) * (float64(c.answered[server]) - want) / want
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}
