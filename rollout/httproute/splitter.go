package httproute

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/kube"
	"github.com/serin-go/serin/strategies"
)

// Splitter puts splits in force in one HTTPRoute. It is safe for concurrent use;
// splits are set one after the other.
type Splitter struct {
	cfg Config

	mu          sync.Mutex
	client      *kube.Client
	route, path string // "" until connected
	generation  uint64 // of the split that was set last
}

// New returns a Splitter. It reads no file and sends nothing yet. The error
// joins what is wrong with cfg; see [Config.Validate].
func New(cfg Config) (*Splitter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Splitter{cfg: cfg.withDefaults()}, nil
}

// Step is the smallest difference between two splits: 0.01 %.
const Step strategies.Weight = 1

// Sticky reports whether a user stays with an arm: Gateway API does not promise it.
func (s *Splitter) Sticky() bool { return false }

// CanSplit implements rollout.Prober. It reports, joined, everything in split
// that an HTTPRoute's weights cannot express; each problem is an [*checks.InvalidError]
// or one of package strategies. It reads nothing.
func (s *Splitter) CanSplit(split strategies.Split) error {
	_, _, err := s.plan(split)
	return err
}

// plan returns the weight of each backendRef, and the backendRefs that every rule must
// have: without one of them, its share would go to the others.
func (s *Splitter) plan(split strategies.Split) (want map[string]int64, serves []string, err error) {
	if err := split.Validate(); err != nil {
		return nil, nil, fmt.Errorf("httproute: %w", err)
	}
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "httproute", Field: field, Value: value, Want: want})
	}
	if len(split.Rules) > 0 {
		bad("Split.Rules", fmt.Sprintf("%+v", split.Rules), "no rules: only the weights of a route are set")
	}
	if len(split.Mirrors) > 0 {
		bad("Split.Mirrors", fmt.Sprintf("%+v", split.Mirrors), "no mirrors: only the weights of a route are set")
	}
	want = map[string]int64{}
	for _, ref := range s.cfg.Arms { // of versions that are not in this split
		want[ref] = 0
	}
	owner := map[string]string{}
	for i, a := range split.Arms {
		field, ref := fmt.Sprintf("Split.Arms[%d].Name", i), s.refOf(a.Name)
		if !kube.Name.MatchString(ref) {
			bad(field, fmt.Sprintf("%q", a.Name), "an arm of Config.Arms, or the name of a backendRef, which matches "+kube.Name.String())
		}
		if other, taken := owner[ref]; taken {
			bad(field, fmt.Sprintf("%q", a.Name), fmt.Sprintf("an arm whose backendRef %s does not serve arm %q too", ref, other))
		}
		owner[ref] = a.Name
		want[ref] = int64(a.Weight)
		if a.Weight > 0 {
			serves = append(serves, ref)
		}
	}
	return want, serves, errors.Join(errs...)
}

// named sets the route's name in each [*RouteError] of err.
func (s *Splitter) named(err error) error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range all.Unwrap() {
			_ = s.named(err)
		}
		return err
	}
	var route *RouteError
	if errors.As(err, &route) {
		route.Route = s.route
	}
	return err
}

func (s *Splitter) refOf(arm string) string {
	if ref, ok := s.cfg.Arms[arm]; ok {
		return ref
	}
	return arm
}

// SetSplit implements rollout.Splitter. It returns when the API server has the weights
// and, unless Config.DangerouslySkipStatus is set, every gateway has accepted them. On
// an error after the patch it restores the previous rules; the error says if that fails
// too. It returns the errors of [Splitter.CanSplit], a [*RouteError], a [*StatusError],
// a [*MismatchError], or an error of the connection or the files. A split with an older
// generation than the last one is ignored.
func (s *Splitter) SetSplit(ctx context.Context, split strategies.Split) error {
	want, serves, err := s.plan(split)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if split.Generation != 0 && split.Generation < s.generation {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if err := s.connect(); err != nil {
		return err
	}
	before, err := s.put(ctx, want, serves)
	if err != nil {
		return err
	}
	if err = s.verify(ctx, want, serves); err != nil {
		if before == nil {
			return err // nothing was changed
		}
		// What was in force stays in force, even if the caller has gone.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
		defer cancel()
		if e := s.restore(undo, before); e != nil {
			err = errors.Join(err, fmt.Errorf("httproute: the rules before are not restored: %w", e))
		}
		return err
	}
	s.generation = split.Generation
	return nil
}

// put reads the route and patches its weights, again if the route has changed in
// between. It returns the previous route, or nil if no change was needed.
func (s *Splitter) put(ctx context.Context, want map[string]int64, serves []string) (*route, error) {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		r, err := s.do(ctx, http.MethodGet, nil)
		if err != nil {
			return nil, err
		}
		rules, changed, err := r.weighted(s.cfg.Rule, want, serves)
		if err != nil {
			return nil, s.named(err)
		}
		if !changed {
			return nil, nil
		}
		if _, err = s.do(ctx, http.MethodPatch, r.patch(rules)); err == nil {
			return r, nil
		}
		if !conflicts(err) {
			return nil, err
		}
		if sleep(ctx, pause) != nil {
			return nil, err
		}
	}
}

// verify reads the route until it is in force.
func (s *Splitter) verify(ctx context.Context, want map[string]int64, serves []string) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		r, err := s.do(ctx, http.MethodGet, nil)
		if err != nil {
			return err
		}
		_, differs, err := r.weighted(s.cfg.Rule, want, serves)
		if err != nil {
			return &MismatchError{Route: s.route, Got: err.Error()}
		}
		if differs {
			return &MismatchError{Route: s.route, Got: "the weights read back are " + r.describe()}
		}
		if s.cfg.DangerouslySkipStatus {
			return nil
		}
		ok, refused, why := r.accepted()
		switch {
		case ok:
			return nil
		case refused:
			return &MismatchError{Route: s.route, Got: why}
		}
		if err := sleep(ctx, pause); err != nil {
			return &MismatchError{Route: s.route, Got: why, Err: err}
		}
	}
}

// restore puts back the rules of a route that was read before.
func (s *Splitter) restore(ctx context.Context, before *route) error {
	r, err := s.do(ctx, http.MethodGet, nil)
	if err == nil {
		_, err = s.do(ctx, http.MethodPatch, r.patch(before.rules))
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
