package worlds

import (
	"math"
	"slices"
	"time"
)

// disturb puts in force what disturbs the arms at this look.
func (s *sim) disturb() {
	const memory = .9
	if s.w.Drift > 0 {
		noise := s.w.Drift * s.rng.NormFloat64()
		if s.look == 0 {
			s.drift = noise
		} else {
			s.drift = memory*s.drift + math.Sqrt(1-memory*memory)*noise
		}
	}
	for i := range s.w.Phases {
		p := &s.w.Phases[i]
		look, to := s.look, p.To
		if p.Every > 0 {
			look, to = look%p.Every, to%p.Every
		}
		if look == to {
			s.set(p, 0, 0)
		}
		if look == p.From {
			s.set(p, p.Errors, p.Slower)
		}
	}
}

// set sets the disturbance of the arms of p.
func (s *sim) set(p *Phase, errors, slower float64) {
	arms := []int{p.Arm}
	switch {
	case p.Arm == BothArms || errors == 0 && slower == 0 && p.Arm == RandomArm:
		arms = []int{Baseline, Candidate, Third}
	case p.Arm == RandomArm:
		arms[0] = s.rng.IntN(2)
	}
	for _, arm := range arms {
		s.errors[arm], s.slower[arm] = errors, slower
	}
}

// serve draws how r, of the user at the given place, is answered.
func (s *sim) serve(r *Request, user int) {
	v := &s.w.Arms[r.Arm]
	slowerFirst := 1.
	if r.Arm == Candidate {
		n := s.assigned[Candidate]
		switch {
		case s.w.Change.After > 0 && n >= s.w.Change.After:
			v = &s.w.Change.Service
		case s.w.Tenants > 0 && r.Tenant == 0:
			v = &s.w.ForTenant
		}
		slowerFirst = s.w.Cold.factor(n)
	}
	if v.ByPrompt {
		r.Prompt = 1 + int(medianPrompt*math.Exp(.8*s.rng.NormFloat64()))
	}
	slower := orOne(s.slower[r.Arm])
	if s.drift != 0 {
		slower *= math.Exp(s.drift)
	}
	s.answer(r, v, slower, slowerFirst)

	errors := orElse(s.errors[r.Arm], v.Errors)
	if user >= 0 {
		errors = min(1, errors*s.crowd.fails[user])
	}
	if r.Forced {
		errors = s.w.ForcedErrors
	}
	switch c := s.w.Clusters; {
	case c.Size == 0 || s.look < 0:
		s.end(r, v, errors)
	case s.cluster[r.Arm] > 0:
		s.cluster[r.Arm]--
		s.fail(r, v)
	case s.rng.Float64() < c.Share:
		s.cluster[r.Arm] = c.Size - 1
		s.fail(r, v)
	}
	if s.w.Leavers > 0 && r.Outcome == OK && r.Stream && s.rng.Float64() < s.w.Leavers {
		s.leave(r)
	}
}

// factor returns what the TTFT of the candidate's request number n is multiplied by.
func (c Cold) factor(n int) float64 {
	switch {
	case n >= c.Requests:
		return 1
	case c.Fills:
		return c.Times - (c.Times-1)*float64(n)/float64(c.Requests)
	}
	return c.Times
}

// wait lets r wait for a server of its arm, or of the pool. Its latency until now is
// how long it needs one.
func (s *sim) wait(r *Request) {
	servers := s.servers[r.Arm]
	if s.w.Fleet.Pool {
		servers = s.servers[Baseline]
	}
	if r.Latency == Never {
		return
	}
	i := 0
	for k := range servers {
		if servers[k] < servers[i] {
			i = k
		}
	}
	waits := max(servers[i], r.Began) - r.Began
	servers[i] = r.Began + waits + r.Latency
	r.Latency += waits
	if r.TTFT > 0 {
		r.TTFT += waits
	}
}

// MeanServiceTime returns the mean latency of v in seconds when nothing fails, without
// Rare, Tail and Stall.
func (v Service) MeanServiceTime() float64 {
	sigma := max(orElse(v.Sigma, .6), 0)
	mean := math.Exp(sigma * sigma / 2)
	if v.Document > 0 {
		return v.Document * orOne(v.Slower) * mean
	}
	tokens := 1.5 + orElse(v.Tokens, 20)*orOne(v.Longer)*mean // rounded down
	gap := orElse(v.ITL, .02) * math.Exp(sigma*sigma/18)
	return orOne(v.Slower) * (orElse(v.TTFT, .3)*orOne(v.SlowerFirst)*mean + gap*(tokens-1))
}

// event is a moment in the life of a request: its first content or its end.
type event struct {
	at    time.Duration
	index int32
	retry bool // the request was sent because another has failed
	end   bool
}

// queue is a binary heap of events, the earliest first. The first content of a request
// comes before its end, as their times differ.
type queue []event

func (q *queue) push(e event) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up].at <= e.at {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
	*q = h
}

func (q *queue) pop() event {
	h := *q
	first, last := h[0], h[len(h)-1]
	h = slices.Delete(h, len(h)-1, len(h))
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(h) {
			break
		}
		if down+1 < len(h) && h[down+1].at < h[down].at {
			down++
		}
		if last.at <= h[down].at {
			break
		}
		h[i] = h[down]
		i = down
	}
	h[i] = last
	return first
}
