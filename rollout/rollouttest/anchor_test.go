package rollouttest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/rollouttest"
)

var known = rollout.Head{Rollout: "chat/3", Seq: 7, Hash: strings.Repeat("0123456789abcdef", 4)}

// headFunc is a function as a rollout.Anchor.
type headFunc func(ctx context.Context, target string) (rollout.Head, error)

func (f headFunc) Head(ctx context.Context, target string) (rollout.Head, error) {
	return f(ctx, target)
}

func goodHead(ctx context.Context, target string) (rollout.Head, error) {
	switch {
	case ctx.Err() != nil:
		return rollout.Head{}, ctx.Err()
	case target != "chat":
		return rollout.Head{}, fmt.Errorf("no head of %s: %w", target, rollout.ErrNotFound)
	}
	return known, nil
}

func TestAnchor(t *testing.T) {
	rollouttest.Anchor(t, func(*testing.T) (rollout.Anchor, rollout.Head) { return headFunc(goodHead), known })
}

func TestBrokenAnchors(t *testing.T) {
	crowd := suitetest.NewCrowd()
	all := make(map[string]suitetest.Broken)
	for name, b := range map[string]struct {
		part string
		head headFunc
	}{
		"knows another event": {"Known", func(context.Context, string) (rollout.Head, error) {
			return rollout.Head{Rollout: "chat/3", Seq: 6}, nil
		}},
		"knows every target": {"Unknown", func(context.Context, string) (rollout.Head, error) { return known, nil }},
		"finds by prefix": {"Unknown", func(ctx context.Context, target string) (rollout.Head, error) {
			return goodHead(ctx, target[:min(4, len(target))])
		}},
		"has an error of its own": {"Unknown", func(ctx context.Context, target string) (rollout.Head, error) {
			h, err := goodHead(ctx, target)
			if err != nil {
				err = errors.New("not found")
			}
			return h, err
		}},
		"answers one at a time": {"Concurrent", func(ctx context.Context, target string) (rollout.Head, error) {
			if crowd.Meet() {
				return rollout.Head{}, errors.New("busy")
			}
			return goodHead(ctx, target)
		}},
		"knows nothing when interrupted": {"Ended", func(ctx context.Context, target string) (rollout.Head, error) {
			if ctx.Err() != nil {
				return rollout.Head{}, rollout.ErrNotFound
			}
			return goodHead(ctx, target)
		}},
		"hangs": {"Ended", func(context.Context, string) (rollout.Head, error) { select {} }},
	} {
		all[name] = suitetest.Broken{Part: b.part, Suite: func(t *testing.T) {
			rollouttest.Anchor(t, func(*testing.T) (rollout.Anchor, rollout.Head) { return b.head, known })
		}}
	}
	suitetest.Fails(t, all)
}
