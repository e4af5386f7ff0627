package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// Splitter puts splits in force in one backend of one HAProxy. It is safe for
// concurrent use; splits are set one after the other.
type Splitter struct {
	cfg Config
	api runtime

	mu         sync.Mutex
	generation uint64 // of the split that was set last
}

// New returns a Splitter. It does not speak with HAProxy yet. The error joins
// what is wrong with cfg; see [Config.Validate].
func New(cfg Config) (*Splitter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Network == "" {
		cfg.Network = "unix"
	}
	if cfg.Tolerance == 0 {
		cfg.Tolerance = DefaultTolerance
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	arms := make(map[string][]string, len(cfg.Arms))
	for arm, servers := range cfg.Arms {
		arms[arm] = slices.Clone(servers)
	}
	cfg.Arms = arms
	return &Splitter{cfg: cfg, api: runtime{network: cfg.Network, address: cfg.Address, backend: cfg.Backend, timeout: cfg.Timeout}}, nil
}

// CanSplit implements rollout.Prober. It reports, joined, everything in s that
// HAProxy's weights cannot express; each problem is an [*checks.InvalidError] or one of
// package strategies. It does not speak with HAProxy.
func (s *Splitter) CanSplit(split strategies.Split) error {
	_, err := s.plan(split)
	return err
}

// plan returns the weight that each server is to have.
func (s *Splitter) plan(split strategies.Split) (map[string]int, error) {
	if err := split.Validate(); err != nil {
		return nil, fmt.Errorf("haproxy: %w", err)
	}
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "haproxy", Field: field, Value: value, Want: want})
	}
	if n := len(split.Rules); n > 0 {
		bad("Split.Rules", fmt.Sprintf("%+v", split.Rules), "no rules: the runtime API only sets weights")
	}
	if n := len(split.Mirrors); n > 0 {
		bad("Split.Mirrors", fmt.Sprintf("%+v", split.Mirrors), "no mirrors: HAProxy does not copy requests")
	}
	counts := make([]int, len(split.Arms))
	owner := map[string]string{}
	for i, a := range split.Arms {
		servers := s.serversOf(a.Name)
		counts[i] = len(servers)
		for _, server := range servers {
			if !name.MatchString(server) {
				bad(fmt.Sprintf("Split.Arms[%d].Name", i), fmt.Sprintf("%q", a.Name), "an arm of Config.Arms, or the name of a server")
			}
			if other, taken := owner[server]; taken {
				bad(fmt.Sprintf("Split.Arms[%d].Name", i), fmt.Sprintf("%q", a.Name), fmt.Sprintf("an arm whose server %s does not serve arm %q too", server, other))
			}
			owner[server] = a.Name
		}
	}
	weights, shares := quantize(split.Arms, counts)
	errs = append(errs, near(split.Arms, shares, s.cfg.Tolerance)...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	want := map[string]int{}
	for _, servers := range s.cfg.Arms { // of versions that are not in this split
		for _, server := range servers {
			want[server] = 0
		}
	}
	for i, a := range split.Arms {
		for _, server := range s.serversOf(a.Name) {
			want[server] = weights[i]
		}
	}
	return want, nil
}

func (s *Splitter) serversOf(arm string) []string {
	if servers, ok := s.cfg.Arms[arm]; ok {
		return servers
	}
	return []string{arm}
}

// SetSplit implements rollout.Splitter: it sets the weights and reads them back. On an
// error it restores the previous weights; the error says if that fails too. It returns
// the errors of [Splitter.CanSplit], a [*ServerError], a [*CommandError], a
// [*MismatchError], or an error of the connection. A split with an older generation
// than the last one is ignored.
func (s *Splitter) SetSplit(ctx context.Context, split strategies.Split) error {
	want, err := s.plan(split)
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
	before, err := s.api.servers(ctx)
	if err != nil {
		return err
	}
	how, err := s.api.describe(ctx)
	if err != nil {
		return err
	}
	target, err := s.target(want, before, how.remembers(), s.serversOf(split.Baseline()))
	if err != nil {
		return err
	}
	if err = s.move(ctx, before, target); err != nil {
		// What was in force stays in force, even if the caller has gone.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
		defer cancel()
		if now, e := s.api.servers(undo); e != nil {
			return errors.Join(err, fmt.Errorf("haproxy: the weights before are not restored: %w", e))
		} else if e := s.move(undo, now, before); e != nil {
			return errors.Join(err, fmt.Errorf("haproxy: the weights before are not restored: %w", e))
		}
		return err
	}
	s.generation = split.Generation
	return nil
}

// target returns the state that each server of the backend is to have. Going
// back to the baseline is never refused for the state that its servers are in.
func (s *Splitter) target(want map[string]int, have map[string]server, remembers bool, baseline []string) (map[string]server, error) {
	var errs []error
	bad := func(server, format string, args ...any) {
		errs = append(errs, &ServerError{Server: s.cfg.Backend + "/" + server, Reason: fmt.Sprintf(format, args...)})
	}
	target := maps.Clone(have)
	for _, n := range slices.Sorted(maps.Keys(want)) {
		weight := want[n]
		now, there := have[n]
		if !there {
			if weight > 0 || slices.Contains(baseline, n) {
				bad(n, "the backend has no such server (have %s)", strings.Join(slices.Sorted(maps.Keys(have)), ", "))
			}
			continue
		}
		parked := now.weight == 0 && now.admin&forcedMaintenance != 0 && remembers
		switch {
		case weight == 0 && remembers:
			now.admin |= forcedMaintenance
		case weight > 0 && parked:
			now.admin &^= forcedMaintenance
		}
		if weight > 0 && now.admin&(inMaintenance|draining) != 0 && !slices.Contains(baseline, n) {
			bad(n, "in maintenance or draining (admin state %d), so it would get no traffic", now.admin)
		}
		now.weight = weight
		target[n] = now
	}
	for _, n := range slices.Sorted(maps.Keys(have)) {
		if _, ours := want[n]; !ours && have[n].weight > 0 && have[n].admin&inMaintenance == 0 {
			bad(n, "belongs to no arm and would take traffic from all arms (have weight %d, want 0)", have[n].weight)
		}
	}
	return target, errors.Join(errs...)
}

// move brings the servers from one state to another, and reads back. Those that
// rise come first: with everything at zero HAProxy would answer 503.
func (s *Splitter) move(ctx context.Context, from, to map[string]server) error {
	names := slices.Sorted(maps.Keys(to))
	slices.SortStableFunc(names, func(a, b string) int {
		return (to[a].weight - from[a].weight - to[b].weight + from[b].weight) * -1
	})
	changed := false
	for _, n := range names {
		a, b := from[n], to[n]
		if a.admin&forcedMaintenance != 0 && b.admin&forcedMaintenance == 0 {
			changed = true
			if err := s.api.order(ctx, "set server %s/%s state ready", s.cfg.Backend, n); err != nil {
				return err
			}
		}
		if a.weight != b.weight {
			changed = true
			if err := s.api.order(ctx, "set weight %s/%s %d", s.cfg.Backend, n, b.weight); err != nil {
				return err
			}
		}
		if a.admin&forcedMaintenance == 0 && b.admin&forcedMaintenance != 0 {
			changed = true
			if err := s.api.order(ctx, "set server %s/%s state maint", s.cfg.Backend, n); err != nil {
				return err
			}
		}
	}
	if !changed {
		return nil // what was read is what is wanted
	}
	now, err := s.api.servers(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		if now[n].weight != to[n].weight {
			errs = append(errs, &MismatchError{Server: s.cfg.Backend + "/" + n, Want: to[n].weight, Got: now[n].weight})
		}
		if (now[n].admin^to[n].admin)&forcedMaintenance != 0 {
			errs = append(errs, &ServerError{Server: s.cfg.Backend + "/" + n, Reason: fmt.Sprintf("admin state %d is in force, want %d", now[n].admin, to[n].admin)})
		}
	}
	return errors.Join(errs...)
}

// Weights returns the weight of each server of the backend, as HAProxy has it in
// force now.
func (s *Splitter) Weights(ctx context.Context) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	found, err := s.api.servers(ctx)
	if err != nil {
		return nil, err
	}
	weights := make(map[string]int, len(found))
	for n, f := range found {
		weights[n] = f.weight
	}
	return weights, nil
}

// Describe reads how the backend divides traffic, and whether users stay with
// what they have met.
func (s *Splitter) Describe(ctx context.Context) (Description, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	return s.api.describe(ctx)
}
