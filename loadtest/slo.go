package loadtest

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// SLO is a set of limits for one request. A request is good if its class is OK and all
// limits that are set hold. TTFT and Latency count from the instant at which the
// request was due, so that a late generator does not improve them. A request that lacks
// a limited value is not good.
type SLO struct {
	// Name is the name in reports. Default the text of the limits.
	Name string `env:"NAME" json:"name,omitempty"`
	// TTFT, TPOT, ITL and Latency are upper limits of the durations in the package
	// documentation. ITL limits the longest gap of a stream. Zero means no limit. An
	// answer of one token chunk keeps every TPOT and ITL.
	TTFT    time.Duration `env:"TTFT" json:"ttft_ns,omitempty"`
	TPOT    time.Duration `env:"TPOT" json:"tpot_ns,omitempty"`
	ITL     time.Duration `env:"ITL" json:"itl_ns,omitempty"`
	Latency time.Duration `env:"LATENCY" json:"latency_ns,omitempty"`
}

// String returns the name, or else the limits.
func (s SLO) String() string {
	if s.Name != "" {
		return s.Name
	}
	text := ""
	for _, l := range []struct {
		name  string
		limit time.Duration
	}{{"TTFT", s.TTFT}, {"TPOT", s.TPOT}, {"ITL", s.ITL}, {"Latency", s.Latency}} {
		if l.limit > 0 {
			if text != "" {
				text += ", "
			}
			text += fmt.Sprintf("%s <= %v", l.name, l.limit)
		}
	}
	if text == "" {
		return "answered"
	}
	return text
}

// Good reports whether r is within s.
func (s SLO) Good(r Result) bool {
	lag := r.SchedLag()
	return r.Class == analysis.OK &&
		(s.TTFT == 0 || r.Chunks > 0 && r.TTFT+lag <= s.TTFT) &&
		(s.TPOT == 0 || r.Chunks > 0 && r.TPOT <= s.TPOT) &&
		(s.ITL == 0 || r.Chunks > 0 && r.LongestGap <= s.ITL) &&
		(s.Latency == 0 || r.Latency+lag <= s.Latency)
}

// used returns how much of its tightest limit r used: up to 1 if r is good, and 2 if it
// used twice the limit or more, or failed.
func (s SLO) used(r Result) float64 {
	const most = 2
	if r.Class != analysis.OK {
		return most
	}
	used := 0.0
	lag := r.SchedLag()
	for _, l := range []struct {
		value, limit time.Duration
		lacking      bool
	}{{r.TTFT + lag, s.TTFT, r.Chunks == 0}, {r.TPOT, s.TPOT, r.Chunks == 0}, {r.LongestGap, s.ITL, r.Chunks == 0}, {r.Latency + lag, s.Latency, false}} {
		switch {
		case l.limit == 0:
		case l.lacking:
			return most
		default:
			used = max(used, l.value.Seconds()/l.limit.Seconds())
		}
	}
	return min(used, most)
}

// Goodput is the number of requests that kept an [SLO].
type Goodput struct {
	SLO SLO `json:"slo"`
	// Good of Sent requests kept the SLO. Sent includes failures and excludes
	// requests that were canceled with the run or failed on this machine.
	Good int `json:"good"`
	Sent int `json:"sent"`
	// Effective is the effective sample size: the number of independent requests that
	// show as much about the share of good ones as those that were sent. Requests that
	// wait for each other are not independent. It is from 0 to Sent.
	Effective float64 `json:"effective"`
	// Tokens is the number of output tokens of the good requests.
	Tokens int `json:"tokens"`
	// Rate is the number of good requests per second of the run without warm-up and
	// cool-down.
	Rate float64 `json:"rate"`
}

// share returns Good / Sent, or 0 if nothing was sent.
func (g Goodput) share() float64 { return float64(g.Good) / float64(max(1, g.Sent)) }
