// Package registrytest is a conformance test suite for implementations of
// registry.Registry.
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/registry"
)

// Notice is the minimum notice of the tested registries.
const Notice = 60 * 24 * time.Hour

// Exercise runs the conformance suite. open returns a new and empty registry with a
// minimum notice of [Notice]. Exercise calls it once for each part. open closes
// resources with t.Cleanup.
func Exercise(t *testing.T, open func(t *testing.T) registry.Registry) {
	for name, part := range map[string]func(*testing.T, registry.Registry){
		"WriteOnce": writeOnce, "Promotion": promotion, "Aliases": aliases, "Yank": yank, "Retirement": retirement,
		"Lists": lists, "Invalid": invalid, "Races": races, "Cancelled": cancelled,
		"History": history, "Withdrawal": withdrawal, "NamesWithSlashes": slashes,
	} {
		t.Run(name, func(t *testing.T) { part(t, open(t)) })
	}
}

func key(version string) registry.Key {
	return registry.Key{Name: "chat", Version: versioning.MustParse(version)}
}

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func register(t *testing.T, r registry.Registry, versions ...string) {
	t.Helper()
	for _, v := range versions {
		wants(t, "register "+v, r.Register(t.Context(), key(v), digest("a")), nil)
	}
}

func writeOnce(t *testing.T, r registry.Registry) {
	ctx := t.Context()
	_, err := r.Get(ctx, key("1.0.0"))
	wants(t, "before registration", err, registry.ErrNotFound)
	register(t, r, "1.0.0", "1.0.0")
	wants(t, "another digest", r.Register(ctx, key("1.0.0"), digest("b")), registry.ErrExists)
	got, err := r.Get(ctx, key("1.0.0"))
	if err != nil || got.Digest != digest("a") || got.Registered.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	variant := key("1.0.0")
	variant.Variant = "int8"
	wants(t, "another variant", r.Register(ctx, variant, digest("b")), nil)
}

func promotion(t *testing.T, r registry.Registry) {
	ctx := t.Context()
	wants(t, "rc.1", r.Register(ctx, key("2.0.0-rc.1"), digest("a")), nil)
	wants(t, "rc.2", r.Register(ctx, key("2.0.0-rc.2"), digest("b")), nil)
	wants(t, "a release of what was not tried last", r.Register(ctx, key("2.0.0"), digest("a")), registry.ErrNotPromoted)
	wants(t, "another release", r.Register(ctx, key("2.0.1"), digest("c")), nil)
	final, err := registry.Promote(ctx, r, key("2.0.0-rc.2"))
	if err != nil || final != key("2.0.0") {
		t.Errorf("promoted to %v, %v", final, err)
	}
	_, err = registry.Promote(ctx, r, key("2.0.0"))
	wants(t, "promoting a release", err, registry.ErrInvalid)
	_, err = registry.Promote(ctx, r, key("9.0.0-rc.1"))
	wants(t, "promoting what is not there", err, registry.ErrNotFound)
}

func aliases(t *testing.T, r registry.Registry) {
	ctx := t.Context()
	register(t, r, "1.0.0", "2.0.0")
	_, err := r.Alias(ctx, "chat", registry.Champion)
	wants(t, "an unset alias", err, registry.ErrNotFound)
	none := registry.Key{}
	wants(t, "first", r.SetAlias(ctx, "chat", registry.Champion, none, key("1.0.0")), nil)
	err = r.SetAlias(ctx, "chat", registry.Champion, none, key("2.0.0"))
	wants(t, "from the wrong place", err, registry.ErrConflict)
	var conflict *registry.ConflictError
	if !errors.As(err, &conflict) || conflict.Is != key("1.0.0") {
		t.Errorf("the conflict does not say where the alias is: %v", err)
	}
	wants(t, "moved", r.SetAlias(ctx, "chat", registry.Champion, key("1.0.0"), key("2.0.0")), nil)
	if got, err := r.Alias(ctx, "chat", registry.Champion); err != nil || got.Key != key("2.0.0") {
		t.Errorf("%v, %v", got, err)
	}
	wants(t, "to what is not there", r.SetAlias(ctx, "chat", registry.Champion, key("2.0.0"), key("3.0.0")), registry.ErrNotFound)
	wants(t, "of another model", r.SetAlias(ctx, "other", registry.Champion, none, key("1.0.0")), registry.ErrInvalid)
	wants(t, "removed", r.SetAlias(ctx, "chat", registry.Champion, key("2.0.0"), none), nil)
	_, err = r.Alias(ctx, "chat", registry.Champion)
	wants(t, "after removal", err, registry.ErrNotFound)
}

func yank(t *testing.T, r registry.Registry) {
	ctx := t.Context()
	register(t, r, "1.0.0", "1.1.0")
	wants(t, "alias", r.SetAlias(ctx, "chat", registry.Champion, registry.Key{}, key("1.1.0")), nil)
	wants(t, "while aliased", r.Yank(ctx, key("1.1.0"), "bad"), registry.ErrAliased)
	wants(t, "move", r.SetAlias(ctx, "chat", registry.Champion, key("1.1.0"), key("1.0.0")), nil)
	wants(t, "without a reason", r.Yank(ctx, key("1.1.0"), " "), registry.ErrInvalid)
	wants(t, "yank", r.Yank(ctx, key("1.1.0"), "bad"), nil)
	wants(t, "again", r.Yank(ctx, key("1.1.0"), "worse"), nil)
	if got, err := r.Get(ctx, key("1.1.0")); err != nil || got.Yanked != "bad" {
		t.Errorf("%+v, %v", got, err)
	}
	wants(t, "alias to it", r.SetAlias(ctx, "chat", registry.Challenger, registry.Key{}, key("1.1.0")), registry.ErrYanked)
	if got, err := registry.Resolve(ctx, r, "chat", "", versioning.MustParseRange("^1"), time.Now()); err != nil || got.Key != key("1.0.0") {
		t.Errorf("resolved to %v, %v", got, err)
	}
	wants(t, "what is not there", r.Yank(ctx, key("9.0.0"), "bad"), registry.ErrNotFound)
	register(t, r, "1.2.0-rc.1")
	wants(t, "yank", r.Yank(ctx, key("1.2.0-rc.1"), "bad"), nil)
	_, err := registry.Promote(ctx, r, key("1.2.0-rc.1"))
	wants(t, "promoting it", err, registry.ErrYanked)
}

func retirement(t *testing.T, r registry.Registry) {
	ctx, now := t.Context(), time.Now()
	register(t, r, "1.0.0", "0.9.0")
	wants(t, "too soon", r.Retire(ctx, key("1.0.0"), now.Add(Notice/2), "2.0.0"), registry.ErrNotice)
	at := now.Add(2 * Notice)
	wants(t, "in time", r.Retire(ctx, key("1.0.0"), at, "2.0.0"), nil)
	wants(t, "moved too near", r.Retire(ctx, key("1.0.0"), now.Add(time.Hour), "2.0.0"), registry.ErrNotice)
	got, err := r.Get(ctx, key("1.0.0"))
	if err != nil || !got.RetireAt.Equal(at) || got.Replacement != "2.0.0" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := registry.Resolve(ctx, r, "chat", "", versioning.MustParseRange("*"), at); err != nil || got.Key != key("0.9.0") {
		t.Errorf("on its last day: %v, %v", got, err)
	}
	wants(t, "what is not there", r.Retire(ctx, key("9.0.0"), at, ""), registry.ErrNotFound)
}

func lists(t *testing.T, r registry.Registry) {
	register(t, r, "1.2.0", "1.10.0", "1.10.0-rc.1", "1.9.0")
	got, err := r.List(t.Context(), "chat")
	var versions []string
	for _, record := range got {
		versions = append(versions, record.Version.String())
	}
	if want := "1.10.0 1.10.0-rc.1 1.9.0 1.2.0"; err != nil || strings.Join(versions, " ") != want {
		t.Errorf("%v, %v; want %s", versions, err, want)
	}
	if got, err := r.List(t.Context(), "unknown"); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func invalid(t *testing.T, r registry.Registry) {
	ctx := t.Context()
	wants(t, "no name", r.Register(ctx, registry.Key{}, digest("a")), registry.ErrInvalid)
	wants(t, "a name with @", r.Register(ctx, registry.Key{Name: "a@b"}, digest("a")), registry.ErrInvalid)
	wants(t, "build metadata", r.Register(ctx, key("1.0.0+b"), digest("a")), registry.ErrInvalid)
	for _, d := range []string{"", "sha256:", "md5:" + digest("a")[7:], digest("A"), digest("g")} {
		wants(t, fmt.Sprintf("digest %q", d), r.Register(ctx, key("1.0.0"), d), registry.ErrInvalid)
	}
	register(t, r, "1.0.0")
	wants(t, "no alias", r.SetAlias(ctx, "chat", "", registry.Key{}, key("1.0.0")), registry.ErrInvalid)
}

// history checks that each move of an alias is kept, with its actor and reason.
func history(t *testing.T, r registry.Registry) {
	ctx := t.Context()
	register(t, r, "1.0.0", "1.1.0")
	if got, err := r.History(ctx, "chat", registry.Production); err != nil || len(got) != 0 {
		t.Errorf("before the first move: %v, %v", got, err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	moves := []registry.Move{
		{Name: "chat", Alias: registry.Production, To: key("1.0.0"), By: "ana", Reason: "first", At: at},
		{Name: "chat", Alias: registry.Production, From: key("1.0.0"), To: key("1.1.0"), By: "serin", Rollout: "chat/7", At: at.Add(time.Hour)},
		{Name: "chat", Alias: registry.Production, From: key("1.1.0"), To: key("1.0.0"), By: "serin", Rollout: "chat/7", Reason: "rolled back"},
	}
	for _, m := range moves {
		wants(t, "move", r.Move(ctx, m), nil)
		repeated := m
		repeated.From = m.To
		wants(t, "a move to where it is", r.Move(ctx, repeated), nil)
	}
	wants(t, "a move from elsewhere", r.Move(ctx, moves[1].Reverse()), registry.ErrConflict)
	wants(t, "another alias", r.SetAlias(ctx, "chat", registry.Champion, registry.Key{}, key("1.1.0")), nil)
	got, err := r.History(ctx, "chat", registry.Production)
	if err != nil || len(got) != len(moves) || got[2].At.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	moves[2].At = got[2].At
	for i := range moves {
		if got[i] != moves[i] {
			t.Errorf("move %d is %+v, want %+v", i, got[i], moves[i])
		}
	}
	all, err := r.Aliases(ctx, "chat")
	if err != nil || len(all) != 2 || all[0] != (registry.Alias{Name: registry.Champion, To: key("1.1.0")}) || all[1].To != key("1.0.0") {
		t.Errorf("%+v, %v", all, err)
	}
	wants(t, "a long reason", r.Move(ctx, registry.Move{Name: "chat", Alias: "x", To: key("1.0.0"), Reason: strings.Repeat("x", 2000)}), registry.ErrInvalid)
}

// withdrawal checks that one call yanks a build and moves its aliases, or does neither.
func withdrawal(t *testing.T, r registry.Registry) {
	ctx := t.Context()
	register(t, r, "1.0.0", "1.1.0", "1.2.0")
	wants(t, "alias", r.SetAlias(ctx, "chat", registry.Production, registry.Key{}, key("1.1.0")), nil)
	wants(t, "alias", r.SetAlias(ctx, "chat", registry.Champion, registry.Key{}, key("1.1.0")), nil)
	wants(t, "alias", r.SetAlias(ctx, "chat", registry.Challenger, registry.Key{}, key("1.2.0")), nil)
	w := registry.Withdrawal{Key: key("1.1.0"), To: key("1.0.0"), Reason: "wrong answers", By: "ana", Rollout: "chat/8"}
	for what, bad := range map[string]func(*registry.Withdrawal){
		"no reason": func(w *registry.Withdrawal) { w.Reason = " " }, "to itself": func(w *registry.Withdrawal) { w.To = w.Key },
	} {
		other := w
		bad(&other)
		wants(t, what, r.Withdraw(ctx, other), registry.ErrInvalid)
	}
	missing := w
	missing.To = key("9.0.0")
	wants(t, "to what is not there", r.Withdraw(ctx, missing), registry.ErrNotFound)
	if got, err := r.Get(ctx, key("1.1.0")); err != nil || got.Yanked != "" {
		t.Errorf("yanked by a request that failed: %+v, %v", got, err)
	}
	wants(t, "withdrawal", r.Withdraw(ctx, w), nil)
	wants(t, "again", r.Withdraw(ctx, w), nil)
	if got, err := r.Get(ctx, key("1.1.0")); err != nil || got.Yanked != "wrong answers" {
		t.Errorf("%+v, %v", got, err)
	}
	all, err := r.Aliases(ctx, "chat")
	if err != nil || len(all) != 3 || all[0].To != key("1.2.0") || all[1].To != key("1.0.0") || all[2].To != key("1.0.0") {
		t.Errorf("%+v, %v", all, err)
	}
	moves, err := r.History(ctx, "chat", registry.Production)
	if err != nil || len(moves) != 2 || moves[1].By != "ana" || moves[1].Rollout != "chat/8" || moves[1].Reason != "wrong answers" {
		t.Errorf("%+v, %v", moves, err)
	}
	back := registry.Withdrawal{Key: key("1.0.0"), To: key("1.1.0"), Reason: "x"}
	wants(t, "to a yanked build", r.Withdraw(ctx, back), registry.ErrYanked)
}

func slashes(t *testing.T, r registry.Registry) {
	k := registry.Key{Name: "org/chat", Version: versioning.MustParse("1.0.0"), Variant: "int8"}
	wants(t, "a name with a slash", r.Register(t.Context(), k, digest("a")), nil)
	wants(t, "its alias", r.SetAlias(t.Context(), "org/chat", registry.Production, registry.Key{}, k), nil)
	if got, err := r.Alias(t.Context(), "org/chat", registry.Production); err != nil || got.Key != k || k.String() != "org/chat@1.0.0/int8" {
		t.Errorf("%+v, %v", got, err)
	}
	k.Variant = "a/b"
	wants(t, "a variant with a slash", r.Register(t.Context(), k, digest("a")), registry.ErrInvalid)
}

// races checks that one of several concurrent calls succeeds and the others fail.
func races(t *testing.T, r registry.Registry) {
	register(t, r, "1.0.0", "1.1.0")
	var moved, bound atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			switch err := r.SetAlias(t.Context(), "chat", registry.Champion, registry.Key{}, key(fmt.Sprintf("1.%d.0", i%2))); {
			case err == nil:
				moved.Add(1)
			case !errors.Is(err, registry.ErrConflict):
				t.Errorf("alias: %v", err)
			}
			switch err := r.Register(t.Context(), key("2.0.0"), digest(string("01234567"[i]))); {
			case err == nil:
				bound.Add(1)
			case !errors.Is(err, registry.ErrExists):
				t.Errorf("register: %v", err)
			}
		})
	}
	all.Wait()
	if moved.Load() != 1 || bound.Load() != 1 {
		t.Errorf("%d moved the alias and %d bound the version, want 1 and 1", moved.Load(), bound.Load())
	}
}

func cancelled(t *testing.T, r registry.Registry) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Register(ctx, key("1.0.0"), digest("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("register: %v", err)
	}
	_, err := r.Get(t.Context(), key("1.0.0"))
	wants(t, "afterwards", err, registry.ErrNotFound)
}
