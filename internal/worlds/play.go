package worlds

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Observer sees a rollout as a router and an engine would. A request that is passed
// is valid until the call returns, except that it is the same until its End.
type Observer interface {
	// Split announces the shares of what is assigned from now on.
	Split(generation uint64, shares Shares, now time.Duration)
	// Begin, First and End follow a request: it is assigned, its first content comes,
	// it ends. First and End are not called for what does not happen.
	Begin(*Request)
	First(*Request)
	End(*Request)
	// Look ends the given look, which is negative before the rollout. Lean is how much
	// the evidence speaks for the candidate, from 0 to 1, and is used by adaptive
	// worlds alone. With stop the rollout ends.
	Look(look int, now time.Duration) (lean float64, stop bool)
}

// sim plays one rollout.
type sim struct {
	w   *World
	o   Observer
	rng *rand.Rand

	table      table
	generation uint64
	shares     Shares
	crowd      crowd // users
	queue      queue
	requests   []*Request
	free       []int
	look       int
	assigned   [NumArms]int // since the rollout began

	drift   float64
	errors  [NumArms]float64 // of the phases in force, zero: none
	slower  [NumArms]float64
	cluster [NumArms]int // failures still to come
	servers [NumArms][]time.Duration
}

// Play plays the rollout of w with the given number.
func Play(w *World, rollout uint64, o Observer) {
	s := &sim{w: w, o: o, rng: rand.New(rand.NewPCG(rollout, uint64(w.Number)))}
	s.table = newTable(s.rng)
	s.crowd = newCrowd(w.Users, s.rng)
	for arm := range s.servers {
		s.servers[arm] = slices.Repeat([]time.Duration{-Never}, w.Fleet.Servers) // all are free
	}
	if n := w.Before.Seconds; n > 0 {
		s.split(Shares{Baseline: 1}, seconds(float64(-n)))
		for s.look = -n; s.look < 0; s.look++ {
			if s.second(w.beforeRate(), 1) {
				return
			}
		}
	}
	for s.look = 0; s.look < w.Looks; s.look++ {
		for _, st := range w.Split {
			if st.Look == s.look {
				s.split(st.Shares, seconds(float64(s.look)*w.every()))
			}
		}
		s.disturb()
		if s.second(w.PerSecond, w.every()) {
			return
		}
	}
}

// split puts shares in force.
func (s *sim) split(shares Shares, now time.Duration) {
	s.generation++
	s.shares = shares
	s.table.move(shares)
	s.o.Split(s.generation, shares, now)
}

// second plays one look of length every, and reports whether the rollout is over.
func (s *sim) second(rate, every float64) bool {
	from := float64(s.look) * every
	n := int(math.Floor((float64(s.look)+1)*rate*every+1e-9) - math.Floor(float64(s.look)*rate*every+1e-9))
	crowd := -1
	if s.w.Crowd > 0 && s.rng.Float64() < .2 {
		crowd = s.rng.IntN(n)
	}
	for i := range n {
		at := seconds(from + (float64(i)+s.rng.Float64())/float64(n)*every*orOne(s.w.Burst))
		s.until(at)
		user := s.crowd.pick(s.rng)
		s.arrive(at, user, false)
		if i == crowd {
			for range s.w.Crowd - 1 {
				s.arrive(at, user, false)
			}
		}
	}
	to := seconds(from + every)
	s.until(to)
	lean, stop := s.o.Look(s.look, to)
	if s.w.Adaptive && s.look >= 0 && s.look%5 == 4 {
		share := .05 + .45*lean
		s.split(Shares{Baseline: 1 - share, Candidate: share}, to)
	}
	return stop
}

// arrive lets a request of user arrive.
func (s *sim) arrive(at time.Duration, user int, retry bool) {
	r := s.request()
	index := r.Index
	*r = Request{Index: index, User: -1, Began: at, Generation: s.generation, Prompt: medianPrompt}
	if user < 0 {
		r.Slot = uint16(s.rng.IntN(slots))
	} else {
		r.User, r.Slot = s.crowd.id[user], s.crowd.slot[user]
	}
	r.Due = int(s.table.arm[r.Slot])
	r.Arm = r.Due
	if s.w.Sticky && user >= 0 && s.look >= 0 {
		if s.crowd.since[user] == 0 {
			s.crowd.arm[user], s.crowd.since[user] = int8(r.Arm), s.generation
		}
		r.Arm, r.Generation = int(s.crowd.arm[user]), s.crowd.since[user]
	}
	if s.w.Forced > 0 && s.look >= 0 && s.rng.Float64() < s.w.Forced {
		r.Arm, r.Forced = Candidate, true
	}
	if s.w.Tenants > 0 {
		r.Tenant = s.rng.IntN(s.w.Tenants)
	}
	if s.w.Replicas > 1 {
		r.Replica = s.rng.IntN(s.w.Replicas)
	}
	s.serve(r, user)
	if s.w.Fleet.Servers > 0 {
		s.wait(r)
	}
	if s.look >= 0 {
		s.assigned[r.Arm]++
	}
	if r.Ends = Never; r.Latency != Never {
		r.Ends = at + r.Latency
		s.queue.push(event{r.Ends, int32(r.Index), retry, true})
	}
	if r.TTFT > 0 {
		r.First = at + r.TTFT
		if r.First < r.Ends {
			s.queue.push(event{r.First, int32(r.Index), false, false})
		}
	}
	s.o.Begin(r)
}

// until plays what happens before now.
func (s *sim) until(now time.Duration) {
	for len(s.queue) > 0 && s.queue[0].at < now {
		e := s.queue.pop()
		r := s.requests[e.index]
		if !e.end {
			s.o.First(r)
			continue
		}
		s.o.End(r)
		s.free = append(s.free, r.Index)
		if r.Outcome == Failed {
			s.failed(r, e.at, e.retry)
		}
	}
}

// failed lets the user of r react to its failure.
func (s *sim) failed(r *Request, at time.Duration, retry bool) {
	user := s.crowd.place(r.User)
	if s.w.Leave && user >= 0 {
		s.crowd.replace(user, s.rng)
		return
	}
	if s.w.Retries > 0 && !retry {
		for range 1 + s.rng.IntN(s.w.Retries) {
			s.arrive(at, user, true)
		}
	}
}

// request returns a request that is not in use.
func (s *sim) request() *Request {
	if n := len(s.free); n > 0 {
		r := s.requests[s.free[n-1]]
		s.free = s.free[:n-1]
		return r
	}
	r := &Request{Index: len(s.requests)}
	s.requests = append(s.requests, r)
	return r
}
