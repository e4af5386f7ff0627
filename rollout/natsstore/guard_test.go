package natsstore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/serin-go/serin/rollout/natsstore"
)

// TestNoKey: what is no key never becomes a subject, where it could stand for
// another key or for many.
func TestNoKey(t *testing.T) {
	c := serve(t, 1, "always")
	s, err := natsstore.Open(t.Context(), natsstore.Config{URL: c.url, Replicas: 1, DangerouslyAllowUnsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"", "*", ">", "a.>", "A", "aDb", "E", "a b", "ż", "a\r\n", strings.Repeat("a", 201)} {
		if _, err := s.Put(t.Context(), key, nil, ""); !errors.Is(err, natsstore.ErrKey) {
			t.Errorf("Put(%q) = %v, want ErrKey", key, err)
		}
		if _, err := s.Get(t.Context(), key); !errors.Is(err, natsstore.ErrKey) {
			t.Errorf("Get(%q) = %v, want ErrKey", key, err)
		}
	}
}

// TestUnsafeBuckets: each bucket that may lose or hide what was written is
// refused, and the reason is named.
func TestUnsafeBuckets(t *testing.T) {
	c := serve(t, 1, "always")
	conn, err := nats.Connect(c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "elsewhere"}); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*jetstream.StreamConfig){
		"":                 func(*jetstream.StreamConfig) {},
		"storage":          func(s *jetstream.StreamConfig) { s.Storage = jetstream.MemoryStorage },
		"direct reads":     func(s *jetstream.StreamConfig) { s.AllowDirect = true },
		"max age":          func(s *jetstream.StreamConfig) { s.MaxAge = time.Hour },
		"max messages":     func(s *jetstream.StreamConfig) { s.MaxMsgs = 1000 },
		"discard":          func(s *jetstream.StreamConfig) { s.MaxBytes, s.Discard = 1<<20, jetstream.DiscardOld },
		"history":          func(s *jetstream.StreamConfig) { s.MaxMsgsPerSubject = 5 },
		"max message size": func(s *jetstream.StreamConfig) { s.MaxMsgSize = 1000 },
		"retention":        func(s *jetstream.StreamConfig) { s.Retention = jetstream.WorkQueuePolicy },
		"deny delete":      func(s *jetstream.StreamConfig) { s.DenyDelete = false },
		"deny purge":       func(s *jetstream.StreamConfig) { s.DenyPurge = false },
		"rollup":           func(s *jetstream.StreamConfig) { s.DenyPurge, s.AllowRollup = false, true },
		"message TTL":      func(s *jetstream.StreamConfig) { s.AllowMsgTTL = true },
		"origin": func(s *jetstream.StreamConfig) {
			s.Sources = []*jetstream.StreamSource{{Name: "elsewhere"}}
		},
	} {
		name := "b" + strings.ReplaceAll(what, " ", "-")
		cfg := jetstream.StreamConfig{
			Name: "KV_" + name, Subjects: []string{"$KV." + name + ".>"}, MaxMsgsPerSubject: 1,
			Discard: jetstream.DiscardNew, DenyDelete: true, DenyPurge: true,
		}
		change(&cfg)
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		open := natsstore.Config{URL: c.url, Monitor: c.monitor, Bucket: name}
		_, err := natsstore.Open(t.Context(), open)
		want := "bucket " + name + ": "
		found, replicas := what == "", false
		for _, got := range conditions(err) {
			found = found || got == want+what
			replicas = replicas || got == want+"replicas"
			if what == "" && got != want+"replicas" {
				t.Errorf("a bucket that lacks nothing but replicas lacks %s", got)
			}
		}
		if !found || !replicas {
			t.Errorf("%s: Open = %v, want an UnsafeError about it, and one about replicas", what, err)
		}
		open.DangerouslyAllowUnsafe = true
		s, openErr := natsstore.Open(t.Context(), open)
		if openErr != nil {
			t.Errorf("%s: Open, which was told to go on = %v", what, openErr)
			continue
		}
		if diff := cmp.Diff(conditions(err), conditions(s.Unsafe())); diff != "" {
			t.Errorf("%s: Unsafe (-refused for +known):\n%s", what, diff)
		}
		s.Close()
	}
}

// TestTooFewServers: a bucket that the servers cannot hold is an error, not one
// with fewer replicas.
func TestTooFewServers(t *testing.T) {
	c := serve(t, 1, "always")
	_, err := natsstore.Open(t.Context(), natsstore.Config{URL: c.url, Monitor: c.monitor, DangerouslyAllowUnsafe: true})
	var said *jetstream.APIError
	if !errors.As(err, &said) {
		t.Errorf("three replicas were asked of one server: %v", err)
	}
}
