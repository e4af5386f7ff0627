package traffic

import (
	"context"
	"fmt"
	"sync"

	"github.com/serin-go/serin/checks"
)

// minAttempts is the number of requests in a row, without a good one, after which an arm
// counts as not answering.
const minAttempts = 5

// Health returns checks of a router, for the components of package checks/health. They
// send no requests, and judge what the router's own traffic shows.
//
//   - "arms" fails while the baseline does not answer: its last five or more requests since
//     the previous check, none of which was good. It warns while a candidate does not
//     answer, which the fallback hides from callers. An arm without requests keeps its
//     status.
//   - "split" warns while the split has expired and the baseline serves everything.
func Health(r *Router) map[string]checks.Check {
	arms := &armHealth{router: r, seen: make(map[string]counts), silent: make(map[string]bool)}
	return map[string]checks.Check{"arms": arms, "split": checks.Func(r.splitHealth)}
}

func (r *Router) splitHealth(context.Context) checks.Result {
	s := r.Split()
	evidence := map[string]string{"generation": fmt.Sprint(s.Generation)}
	if r.expired() {
		return checks.Result{Status: checks.Warn, Summary: "the split has expired, and the baseline serves all requests", Evidence: evidence}
	}
	return checks.Result{Status: checks.Pass, Summary: "the split is in force", Evidence: evidence}
}

// counts are requests of an arm that have ended.
type counts struct{ good, bad uint64 }

// armHealth is the check "arms" of [Health].
type armHealth struct {
	router *Router

	mu     sync.Mutex
	seen   map[string]counts // at the previous check that had enough requests
	silent map[string]bool
}

// Check compares the counters of the arms that have traffic with the previous ones.
func (h *armHealth) Check(context.Context) checks.Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	split := h.router.Split()
	r := checks.Result{Status: checks.Pass, Summary: "every arm answers", Evidence: make(map[string]string)}
	for _, s := range h.router.Stats() {
		if !split.Reaches(s.Arm) {
			delete(h.silent, s.Arm)
			continue
		}
		var now counts
		for class, n := range s.ByClass {
			switch {
			case class.Failed():
				now.bad += n
			case class.Answered():
				now.good += n
			}
		}
		before := h.seen[s.Arm]
		switch {
		case now.good > before.good:
			h.silent[s.Arm], h.seen[s.Arm] = false, now
		case now.bad-before.bad >= minAttempts:
			h.silent[s.Arm], h.seen[s.Arm] = true, now
		}
		r.Evidence[s.Arm] = fmt.Sprintf("%d good, %d failed, %d in flight", now.good, now.bad, s.InFlight)
		if !h.silent[s.Arm] {
			continue
		}
		if s.Arm == split.Baseline() {
			return checks.Result{Status: checks.Fail, Summary: fmt.Sprintf("the baseline %s does not answer", s.Arm), Evidence: r.Evidence}
		}
		r.Status, r.Summary = checks.Warn, fmt.Sprintf("%s does not answer, and the baseline answers in its place", s.Arm)
	}
	return r
}
