package audittest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/audit/audittest"
)

// place is an audit.Anchor in memory that keeps all rules. Its fields break one each.
type place struct {
	first     bool // keeps the first checkpoint of a target
	fixed     bool // returns at least as many bytes as before
	together  bool // keeps one checkpoint for all targets
	aliased   bool // keeps the caller's slice
	exposed   bool // returns its own slice
	unfound   bool // returns an error of its own for an unknown target
	forgetful bool // does not find a checkpoint when interrupted
	torn      bool // writes a part when interrupted
	crowd     *suitetest.Crowd

	mu   sync.Mutex
	kept map[string][]byte
}

func (p *place) Latest(ctx context.Context, target string) ([]byte, error) {
	if p.crowd != nil && p.crowd.Meet() {
		return []byte("example.com/audit\n1 and 2"), nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.together {
		for target = range p.kept {
		}
	}
	b, ok := p.kept[target]
	switch {
	case !ok && p.unfound:
		return nil, errors.New("no file")
	case !ok, p.forgetful && ctx.Err() != nil:
		return nil, fmt.Errorf("no checkpoint of %s: %w", target, rollout.ErrNotFound)
	case p.exposed:
		return b, nil
	}
	return bytes.Clone(b), ctx.Err()
}

func (p *place) Keep(ctx context.Context, target string, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = make(map[string][]byte)
	}
	if p.together {
		clear(p.kept)
	}
	old := p.kept[target]
	switch {
	case ctx.Err() != nil && p.torn:
		p.kept[target] = b[:len(b)/2]
		return ctx.Err()
	case ctx.Err() != nil:
		return ctx.Err()
	case p.first && old != nil:
		return nil
	case p.aliased:
		p.kept[target] = b
		return nil
	case p.fixed && len(old) > len(b):
		b = append(bytes.Clone(b), old[len(b):]...)
	}
	p.kept[target] = bytes.Clone(b)
	return nil
}

func TestAnchor(t *testing.T) {
	places := make(map[string]*place)
	audittest.Anchor(t, func(_ *testing.T, dir string) audit.Anchor {
		if places[dir] == nil {
			places[dir] = new(place)
		}
		return places[dir]
	})
}

func TestBrokenAnchors(t *testing.T) {
	all := make(map[string]suitetest.Broken)
	for name, b := range map[string]struct {
		part  string
		place *place
	}{
		"keeps the first":              {"Kept", &place{first: true}},
		"keeps the rest of a longer":   {"Kept", &place{fixed: true}},
		"has one for all targets":      {"Targets", &place{together: true}},
		"keeps the caller's slice":     {"Owned", &place{aliased: true}},
		"returns its own slice":        {"Owned", &place{exposed: true}},
		"has an error of its own":      {"Empty", &place{unfound: true}},
		"finds nothing when cancelled": {"Ended", &place{forgetful: true}},
		"writes a part when cancelled": {"Ended", &place{torn: true}},
		"mixes concurrent checkpoints": {"Concurrent", &place{crowd: suitetest.NewCrowd()}},
	} {
		all[name] = suitetest.Broken{Part: b.part, Suite: func(t *testing.T) {
			audittest.Anchor(t, func(*testing.T, string) audit.Anchor { return b.place })
		}}
	}
	all["loses all with the process"] = suitetest.Broken{Part: "Kept", Suite: func(t *testing.T) {
		audittest.Anchor(t, func(*testing.T, string) audit.Anchor { return new(place) })
	}}
	suitetest.Fails(t, all)
}
