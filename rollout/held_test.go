package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// replace puts a value in the place of another, as one who restores a single row.
func replace(t *testing.T, s rollout.Store, key string, value []byte) {
	t.Helper()
	entry, err := s.Get(t.Context(), key)
	if err != nil && !errors.Is(err, rollout.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), key, value, entry.Revision); err != nil {
		t.Fatal(err)
	}
}

// stored returns the value under a key.
func stored(t *testing.T, s rollout.Store, key string) []byte {
	t.Helper()
	entry, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return entry.Value
}

// anchorFunc is a function as an anchor.
type anchorFunc func(target string) (rollout.Head, error)

func (f anchorFunc) Head(_ context.Context, target string) (rollout.Head, error) { return f(target) }

// TestOvertakenDocument: a document that its trail or the anchor has overtaken brings no
// candidate back, after a crash or a close, alone or among others. Its commands are
// refused with the reason, package audit sees the same, another target works, and the
// next rollout begins after everything that is in the trail.
func TestOvertakenDocument(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil  func(t *testing.T, cfg *rollout.Config, early []byte)
		anchor bool
		tail   bool // the trail itself shows it
	}{
		"an older row": {func(t *testing.T, cfg *rollout.Config, early []byte) { replace(t, cfg.Store, "rollout/chat", early) }, false, true},
		"the rollout before": {func(t *testing.T, cfg *rollout.Config, _ []byte) {
			e := open(t, *cfg)
			begin(t, e, steady())
			time.Sleep(10 * time.Second)
			first := stored(t, cfg.Store, "archive/chat/1")
			e.Close()
			replace(t, cfg.Store, "rollout/chat", first)
		}, false, true},
		"another history": {func(t *testing.T, cfg *rollout.Config, early []byte) {
			// In another store the same rollout has gone the same way, as of the early row.
			c := *cfg
			c.Store = new(memstore.Store)
			replace(t, c.Store, "rollout/chat", early)
			e := open(t, c)
			time.Sleep(10 * time.Second)
			e.Close()
			other := stored(t, c.Store, "rollout/chat")
			replace(t, cfg.Store, "rollout/chat", other)
		}, false, true},
		"an older row, and only the anchor knows": {func(t *testing.T, cfg *rollout.Config, early []byte) {
			head, err := rollout.StoredHead(t.Context(), cfg.Store, "chat")
			if err != nil {
				t.Fatal(err)
			}
			s := new(memstore.Store) // a whole backup
			replace(t, s, "rollout/chat", early)
			cfg.Store = s
			cfg.Anchor = anchorFunc(func(target string) (rollout.Head, error) {
				if target != "chat" {
					return rollout.Head{}, rollout.ErrNotFound
				}
				return head, nil
			})
		}, true, false},
		"no row, and only the anchor knows": {func(t *testing.T, cfg *rollout.Config, _ []byte) {
			cfg.Store = new(memstore.Store)
			cfg.Anchor = anchorFunc(func(target string) (rollout.Head, error) {
				if target != "chat" {
					return rollout.Head{}, rollout.ErrNotFound
				}
				return rollout.Head{Rollout: "chat/7", Seq: 3, Hash: "x"}, nil
			})
		}, true, false},
	} {
		for _, replica := range []string{"", "a"} {
			t.Run(fmt.Sprintf("%s, replica %q", name, replica), func(t *testing.T) {
				run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
					cfg.Replica = replica
					e := open(t, cfg)
					go tgt.serve(t.Context(), 20*time.Millisecond)
					id := begin(t, e, steady())
					time.Sleep(20 * time.Second)
					early := stored(t, cfg.Store, "rollout/chat")
					for _, c := range []strategies.Command{strategies.Pause, strategies.Resume, strategies.Pause, strategies.Resume, strategies.Abort} {
						if err := e.Do(t.Context(), id, c, ana); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Second)
					e.Close()
					tt.spoil(t, &cfg, early)
					again, code := &target{}, &target{}
					go again.serve(t.Context(), 20*time.Millisecond)
					cfg.Targets = map[string]rollout.Splitter{"chat": again, "code": code}
					e = open(t, cfg)
					p := steady()
					p.Target = "code"
					begin(t, e, p)
					time.Sleep(time.Minute)
					if n := again.count("1.5.0"); n > 0 {
						t.Errorf("%d requests reached the candidate", n)
					}
					if code.current().Weight("1.5.0") != 5000 {
						t.Errorf("the other target serves %v", code.current().Arms)
					}
					h := healthOf(t, e, "chat")
					var overtaken *rollout.OvertakenError
					if !errors.As(h.Err, &overtaken) || overtaken.Target != "chat" || overtaken.Anchor != tt.anchor || overtaken.Known.Rollout == "" {
						t.Fatalf("health: %+v", h)
					}
					if err := e.Do(t.Context(), id, strategies.Abort, ana); !errors.As(err, &overtaken) {
						t.Errorf("Abort: %v", err)
					}
					log, err := audit.Read(t.Context(), cfg.Store, "chat")
					if err != nil {
						t.Fatal(err)
					}
					var tampered *audit.TamperError
					if err := log.Verify(); errors.As(err, &tampered) != tt.tail {
						t.Errorf("the log: %v", err)
					}
					next := begin(t, e, steady())
					if next == overtaken.Known.Rollout || next == overtaken.Stored.Rollout {
						t.Errorf("the next rollout is %s, after %+v", next, overtaken)
					}
					time.Sleep(10 * time.Second)
					for ev, err := range e.Events(t.Context(), next, 1) {
						if err != nil || !ev.Urgent || !strings.Contains(ev.Reason, "chat") {
							t.Errorf("its first event: %v, urgent %t, %v", ev, ev.Urgent, err)
						}
						break
					}
					if h := healthOf(t, e, "chat"); !h.Follows || h.Rollout != next || again.current().Weight("1.5.0") != 5000 {
						t.Errorf("health in the end: %+v", h)
					}
					e.Close()
					e = open(t, cfg)
					if h := healthOf(t, e, "chat"); !h.Follows {
						t.Errorf("health after another restart: %+v", h)
					}
				})
			})
		}
	}
}

// TestDocumentThatIsNotOvertaken: what an ordinary crash leaves, and foreign values in
// the trail, do not keep a rollout from going on.
func TestDocumentThatIsNotOvertaken(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, s *memstore.Store, head rollout.Head){
		"something foreign at the next key": func(t *testing.T, s *memstore.Store, head rollout.Head) {
			replace(t, s, fmt.Sprintf("audit/chat/1/%010d", head.Seq+1), []byte("{}"))
		},
		"an event of another rollout at the next key": func(t *testing.T, s *memstore.Store, head rollout.Head) {
			replace(t, s, fmt.Sprintf("audit/chat/1/%010d", head.Seq+1), stored(t, s, "audit/chat/1/0000000001"))
		},
		"something foreign in the place of the last entry": func(t *testing.T, s *memstore.Store, head rollout.Head) {
			replace(t, s, fmt.Sprintf("audit/chat/1/%010d", head.Seq), []byte("{}"))
		},
	} {
		for _, replica := range []string{"", "a"} {
			t.Run(fmt.Sprintf("%s, replica %q", name, replica), func(t *testing.T) {
				run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
					s := new(memstore.Store)
					cfg.Store, cfg.Replica = s, replica
					e := open(t, cfg)
					begin(t, e, steady())
					time.Sleep(time.Minute)
					e.Close()
					head, err := rollout.StoredHead(t.Context(), s, "chat")
					if err != nil {
						t.Fatal(err)
					}
					spoil(t, s, head)
					e = open(t, cfg)
					time.Sleep(time.Minute)
					if h := healthOf(t, e, "chat"); !h.Follows || !h.Leader || tgt.current().Weight("1.5.0") != 5000 {
						t.Errorf("health: %+v", h)
					}
				})
			})
		}
	}
}

// TestAnchor: package audit's checkpoints are an anchor. A document that has gone on since
// is followed; while the anchor does not answer, or hangs, the target is not followed.
func TestAnchor(t *testing.T) {
	secret, public, err := note.GenerateKey(nil, "serin")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	dir := audit.Dir(t.TempDir())
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		cfg.Anchor = audit.Heads(dir, verifier)
		e := open(t, cfg)
		id := begin(t, e, steady())
		time.Sleep(time.Minute)
		early := stored(t, cfg.Store, "rollout/chat")
		if err := e.Do(t.Context(), id, strategies.Pause, ana); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		log, err := audit.Read(t.Context(), cfg.Store, "chat")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Seal(t.Context(), log, dir, signer, verifier); err != nil {
			t.Fatal(err)
		}
		head, err := cfg.Anchor.Head(t.Context(), "chat")
		if err != nil || head.Rollout != id || head.Seq != uint64(log.Len()) || head.Hash == "" {
			t.Fatalf("the anchor knows %+v, %v; the log has %d entries", head, err, log.Len())
		}
		if err := e.Do(t.Context(), id, strategies.Resume, ana); err != nil {
			t.Fatal(err)
		}
		e.Close()
		e = open(t, cfg)
		if h := healthOf(t, e, "chat"); !h.Follows {
			t.Errorf("a document that has gone on: %+v", h)
		}
		e.Close()

		backup := new(memstore.Store)
		replace(t, backup, "rollout/chat", early)
		c := cfg
		c.Store = backup
		e = open(t, c)
		var overtaken *rollout.OvertakenError
		if h := healthOf(t, e, "chat"); !errors.As(h.Err, &overtaken) || overtaken.Known != head {
			t.Errorf("an older one: %+v", h)
		}
		e.Close()

		down := errors.New("no answer")
		for _, hangs := range []bool{false, true} {
			mend := make(chan struct{})
			cfg.Anchor = anchorFunc(func(string) (rollout.Head, error) {
				select {
				case <-mend:
					return head, nil
				default:
				}
				if hangs {
					<-mend
				}
				return rollout.Head{}, down
			})
			e = open(t, cfg)
			time.Sleep(time.Minute)
			if h := healthOf(t, e, "chat"); h.Follows || tgt.current().Reaches("1.5.0") && !hangs || !hangs && !errors.Is(h.Err, down) {
				t.Errorf("hangs %t: %+v", hangs, h)
			}
			close(mend)
			time.Sleep(time.Minute)
			if h := healthOf(t, e, "chat"); !h.Follows {
				t.Errorf("hangs %t: with the anchor back %+v", hangs, h)
			}
			e.Close()
		}
	})
}
