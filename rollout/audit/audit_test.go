package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// plane takes every split.
type plane struct{}

func (plane) SetSplit(context.Context, strategies.Split) error { return nil }

// record returns a store with the audit trail of three rollouts: aborted,
// promoted by hand, and one that is running.
func record(t testing.TB) (store *memstore.Store, newest rollout.Status) {
	store = new(memstore.Store)
	body := func(ctx context.Context, stay time.Duration) {
		e, err := rollout.Open(ctx, rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": plane{}, "chat-2": plane{}}})
		if err != nil {
			t.Fatal(err)
		}
		for i, baseline := range []string{"1.4.0", "1.4.0", "1.5.1"} {
			id, err := e.Start(ctx, rollout.Plan{
				Target:    "chat",
				Baseline:  versioning.Release{Version: versioning.MustParse(baseline)},
				Candidate: versioning.Release{Version: versioning.MustParse(fmt.Sprintf("1.5.%d", i))},
			}, rollout.Actor{Name: "ana"})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(stay)
			if i == 2 {
				break
			}
			commands := []strategies.Command{strategies.Abort}
			if i == 1 {
				commands = []strategies.Command{strategies.PromoteFully, strategies.Promote}
			}
			for _, c := range commands {
				if err := e.Do(ctx, id, c, rollout.Actor{Name: "ben"}, rollout.Because("a <b>bold</b> | move")); err != nil {
					t.Fatal(err)
				}
			}
		}
		e.Close()
		if newest, err = e.Newest(ctx, "chat"); err != nil {
			t.Fatal(err)
		}
	}
	if tt, ok := t.(*testing.T); ok {
		synctest.Test(tt, func(t *testing.T) { body(t.Context(), 45*time.Second) })
	} else {
		body(t.Context(), 100*time.Millisecond)
	}
	return store, newest
}

func read(t testing.TB, s rollout.Store) *audit.Log {
	t.Helper()
	l, err := audit.Read(context.Background(), s, "chat")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func keys(t testing.TB) (note.Signer, note.Verifier) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(nil, "example.com/audit")
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

func TestVerify(t *testing.T) {
	store, newest := record(t)
	l := read(t, store)
	if err := l.Verify(); err != nil {
		t.Errorf("a log that was not touched: %v", err)
	}
	if err := l.Complete(newest); err != nil {
		t.Error(err)
	}
	if n := len(l.Filter("chat/2")); n == 0 || n >= l.Len() {
		t.Errorf("%d of %d events are about chat/2", n, l.Len())
	}
	if other, err := audit.Read(t.Context(), store, "chat-2"); err != nil || other.Len() != 0 {
		t.Errorf("chat-2 has %d events (%v), want none", other.Len(), err)
	}
	var b bytes.Buffer
	if err := l.WriteJSONL(&b); err != nil {
		t.Fatal(err)
	}
	again, err := audit.ReadJSONL(&b)
	if err != nil || again.Len() != l.Len() || again.Verify() != nil {
		t.Errorf("read back: %d of %d entries, %v", again.Len(), l.Len(), errors.Join(err, again.Verify()))
	}
	r1, _ := l.Root(l.Len())
	if r2, err := again.Root(l.Len()); err != nil || r1 != r2 {
		t.Errorf("the log read back has another root (%v)", err)
	}
}

// TestTampering plants a thousand tamperings of each kind in turn. All but a
// forged or shortened end show by themselves; against a checkpoint that was kept
// elsewhere everything shows.
func TestTampering(t *testing.T) {
	store, newest := record(t)
	l := read(t, store)
	signer, verifier := keys(t)
	checkpoint, err := l.Checkpoint(signer)
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if err := l.WriteJSONL(&whole); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(whole.String(), "\n"), "\n")
	rng := rand.New(rand.NewPCG(1, 2))
	kinds := []struct {
		name  string
		alone bool // it shows without a checkpoint
		do    func(lines []string, i int) []string
	}{
		{"bit flipped", true, func(s []string, i int) []string {
			b := []byte(s[i])
			at := rng.IntN(len(b))
			for flip := byte(1) << rng.IntN(8); ; flip = byte(1) << rng.IntN(8) {
				if b[at]^flip != '\n' && b[at]^flip != '\r' {
					b[at] ^= flip
					break
				}
			}
			s[i] = string(b)
			return s
		}},
		{"entry removed", true, func(s []string, i int) []string {
			i = min(i, len(s)-2) // the last one is the business of truncation
			return slices.Delete(s, i, i+1)
		}},
		{"entries swapped", true, func(s []string, i int) []string {
			j := (i + 1 + rng.IntN(len(s)-1)) % len(s)
			s[i], s[j] = s[j], s[i]
			return s
		}},
		{"entry repeated elsewhere", true, func(s []string, i int) []string {
			j := (i + 2 + rng.IntN(len(s)-2)) % len(s)
			return slices.Insert(s, j, s[(j+1)%len(s)])
		}},
		{"end cut off", false, func(s []string, i int) []string { return s[:max(1, i)] }},
		{"hashes computed anew", false, func(s []string, i int) []string { return rehash(t, s, i) }},
	}
	for n := range 1000 {
		k := kinds[n%len(kinds)]
		forged := k.do(slices.Clone(lines), rng.IntN(len(lines)))
		tampered, err := audit.ReadJSONL(strings.NewReader(strings.Join(forged, "\n") + "\n"))
		if err != nil {
			continue // it is not even a log any more
		}
		var tamper *audit.TamperError
		if err := tampered.Verify(); k.alone && !errors.As(err, &tamper) {
			t.Errorf("tampering %d, %s: Verify = %v", n, k.name, err)
		}
		if err := tampered.Extends(checkpoint, verifier); err == nil {
			t.Errorf("tampering %d, %s: it shows not even against a checkpoint", n, k.name)
		}
		if err := tampered.Complete(newest); k.name == "end cut off" && err == nil {
			t.Errorf("tampering %d, %s: the log passes for complete", n, k.name)
		}
	}
}

// rehash alters entry i and makes all hashes after it fit again.
func rehash(t *testing.T, lines []string, i int) []string {
	var prev rollout.Event
	for n, line := range lines {
		var ev rollout.Event
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		if n == i {
			ev.Reason = "nothing happened here"
		}
		if n >= i {
			if ev.Rollout == prev.Rollout {
				ev.Prev = prev.Hash
			}
			ev = sealed(t, ev)
		}
		body, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		lines[n], prev = string(body), ev
	}
	return lines
}

func TestProofs(t *testing.T) {
	store, _ := record(t)
	l := read(t, store)
	signer, verifier := keys(t)
	newer, err := l.Checkpoint(signer)
	if err != nil {
		t.Fatal(err)
	}
	for i, ev := range l.Events() {
		p, err := l.Prove(ev.Rollout, ev.Seq)
		if err != nil || p.Index != i {
			t.Fatalf("Prove(%s, %d) = index %d, %v", ev.Rollout, ev.Seq, p.Index, err)
		}
		if err := p.Check(newer, verifier); err != nil {
			t.Errorf("inclusion of entry %d: %v", i, err)
		}
		p.Line = bytes.Replace(p.Line, []byte("ana"), []byte("eve"), 1)
		if bytes.Contains(p.Line, []byte("eve")) && p.Check(newer, verifier) == nil {
			t.Errorf("inclusion of an altered entry %d was proven", i)
		}
	}
	if _, err := l.Prove("chat/1", 999); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("Prove of what is not there = %v", err)
	}

	var b bytes.Buffer
	if err := l.WriteJSONL(&b); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b.Bytes(), []byte("\n"))
	for n := 1; n <= l.Len(); n++ {
		before, err := audit.ReadJSONL(bytes.NewReader(bytes.Join(lines[:n], nil)))
		if err != nil {
			t.Fatal(err)
		}
		older, err := before.Checkpoint(signer)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Extends(older, verifier); err != nil {
			t.Errorf("from %d entries: %v", n, err)
		}
		if err := before.Extends(newer, verifier); n < l.Len() && !errors.Is(err, audit.ErrForked) {
			t.Errorf("a log of %d entries extends one of %d: %v", n, l.Len(), err)
		}
		g, err := l.ProveGrowth(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Check(older, newer, verifier); err != nil {
			t.Errorf("growth from %d: %v", n, err)
		}
		if n > 1 && n < l.Len() {
			g.Path[0][0] ^= 1
			if g.Check(older, newer, verifier) == nil {
				t.Errorf("a false growth from %d was proven", n)
			}
		}
	}
	if _, err := l.ProveGrowth(l.Len() + 1); err == nil {
		t.Error("a log was proven to have shrunk")
	}
}

func TestSeal(t *testing.T) {
	store, _ := record(t)
	l := read(t, store)
	signer, verifier := keys(t)
	dir := audit.Dir(t.TempDir())
	if _, err := dir.Latest(t.Context(), "chat"); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("Latest of an empty directory = %v", err)
	}
	first, err := audit.Seal(t.Context(), l, dir, signer, verifier)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := dir.Latest(t.Context(), "chat"); err != nil || !bytes.Equal(kept, first) {
		t.Errorf("Latest = %q, %v; want what was sealed", kept, err)
	}
	shorter, err := audit.ReadJSONL(strings.NewReader(firstLines(t, l, 2)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Seal(t.Context(), shorter, dir, signer, verifier); !errors.Is(err, audit.ErrForked) {
		t.Errorf("Seal of a shortened log = %v, want ErrForked", err)
	}
	stranger, _ := keys(t)
	forged, err := l.Checkpoint(stranger)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Extends(forged, verifier); err == nil {
		t.Error("a checkpoint signed by a stranger was believed")
	}
	if _, err := (&audit.Log{}).Checkpoint(signer); err == nil {
		t.Error("an empty log was signed")
	}
}

func firstLines(t *testing.T, l *audit.Log, n int) string {
	var b bytes.Buffer
	if err := l.WriteJSONL(&b); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.SplitAfter(b.String(), "\n")[:n], "")
}

func TestExports(t *testing.T) {
	store, _ := record(t)
	l := read(t, store)
	var md, html bytes.Buffer
	if err := errors.Join(l.WriteMarkdown(&md), l.WriteHTML(&html)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## chat/1\n", "## chat/3\n", "| ben |", `a &lt;b&gt;bold&lt;/b&gt; \| move`, "1.4.0 95%, 1.5.0 5%"} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, md.String())
		}
	}
	for _, want := range []string{"chat/2: promoted", "<polyline points=\"0.0,100.0", "a &lt;b&gt;bold&lt;/b&gt; | move", "Every entry follows"} {
		if !strings.Contains(html.String(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, never := range []string{"http://", "https://", "<script", "<b>"} {
		if strings.Contains(html.String(), never) {
			t.Errorf("the page contains %q", never)
		}
	}
}

// TestEntryInTheWay: something else is where an entry belongs, and the entry is in
// quarantine. Read finds both, and Verify reports the stranger alone.
func TestEntryInTheWay(t *testing.T) {
	store, _ := record(t)
	whole := read(t, store)
	var moved rollout.Event
	for _, ev := range whole.Filter("chat/2") {
		if ev.Seq == 2 {
			moved = ev
		}
	}
	key := "audit/chat/2/0000000002"
	there, err := store.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for name, stranger := range map[string]string{"no entry": "{}", "no JSON": "\x00", "another type": "[]"} {
		rev, err := store.Put(t.Context(), key, []byte(stranger), there.Revision)
		if err != nil {
			t.Fatal(err)
		}
		there.Revision = rev
		if _, err := store.Put(t.Context(), "quarantine/"+key, there.Value, ""); err != nil && !errors.Is(err, rollout.ErrConflict) {
			t.Fatal(err)
		}
		l := read(t, store)
		if l.Len() != whole.Len()+1 || len(l.Filter("chat/2")) != len(whole.Filter("chat/2")) {
			t.Errorf("%s: %d entries, of %d", name, l.Len(), whole.Len())
		}
		var tampered *audit.TamperError
		err = l.Verify()
		if !errors.As(err, &tampered) || strings.Count(err.Error(), "\n") != 0 || l.Filter("chat/2")[1].Hash != moved.Hash {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExportsShowEverything: what is written for people holds no character that does not
// show.
func TestExportsShowEverything(t *testing.T) {
	line := `{"rollout":"chat/1","seq":1,"kind":"ended","phase":"aborted","name":"a\u202eb","reason":"well\u001b[2K\u200b\u0007","by":{"name":"an\u001ba"},"split":{"arms":[{"name":"1\u001b","weight":10000}]},"epoch":1,"at":"2026-01-01T00:00:00Z","baked_ns":0,"stage":0}` + "\n"
	l, err := audit.ReadJSONL(strings.NewReader(line))
	if err != nil || l.Filter("chat/1") == nil {
		t.Fatal(err)
	}
	var md, html bytes.Buffer
	if err := errors.Join(l.WriteMarkdown(&md), l.WriteHTML(&html)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{md.String(), strings.ReplaceAll(html.String(), "&#43;", "+")} {
		if strings.ContainsAny(text, "\x1b\x07\u202e\u200b") || !strings.Contains(text, "well␛[2K[U+200B]␇") {
			i := strings.IndexAny(text, "\x1b\x07\u202e\u200b")
			t.Errorf("it shows\n%q", text[max(0, i-100):])
		}
	}
}

func FuzzReadJSONL(f *testing.F) {
	store, _ := record(f)
	var b bytes.Buffer
	if err := read(f, store).WriteJSONL(&b); err != nil {
		f.Fatal(err)
	}
	_, verifier := keys(f)
	f.Add(b.Bytes(), []byte("serin/audit/chat\n1\nAAAA\n\n— x y\n"))
	f.Add([]byte("{}\n{}\n"), []byte(nil))
	f.Fuzz(func(t *testing.T, data, checkpoint []byte) {
		l, err := audit.ReadJSONL(bytes.NewReader(data))
		if err != nil {
			return
		}
		_ = l.Verify()
		if err := l.Extends(checkpoint, verifier); err == nil {
			t.Error("a checkpoint that nobody signed was believed")
		}
		var out bytes.Buffer
		if err := errors.Join(l.WriteMarkdown(&out), l.WriteHTML(&out)); err != nil {
			t.Error(err)
		}
	})
}

// sealed gives an event the hash that its content has.
func sealed(t *testing.T, ev rollout.Event) rollout.Event {
	ev.Hash = ""
	body, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	ev.Hash = fmt.Sprintf("%x", sha256.Sum256(body))
	return ev
}
