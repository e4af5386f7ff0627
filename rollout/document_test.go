package rollout

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

func newDocument(t interface{ Fatal(...any) }) *document {
	p, err := Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
	}.compile()
	if err != nil {
		t.Fatal(err)
	}
	return &document{Format: documentFormat, ID: "chat/1", Number: 1, Plan: p, Seq: 1, Epoch: 1, Split: p.Stages[0].Split}
}

func TestDocumentRoundTrip(t *testing.T) {
	value, hash, err := newDocument(t).encode()
	if err != nil {
		t.Fatal(err)
	}
	back, backHash, err := decodeDocument("chat", value)
	if err != nil || backHash != hash {
		t.Fatalf("decode: %v, hash %s, want %s", err, backHash, hash)
	}
	again, _, err := back.encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(value), string(again)); diff != "" {
		t.Errorf("decoded and encoded again (-want +got):\n%s", diff)
	}
}

// TestMissedCheckpoints: a process that follows may miss any commit, and still takes the
// next one. It refuses a document that does not follow, or that is older.
func TestMissedCheckpoints(t *testing.T) {
	now := time.Now()
	first := newDocument(t)
	var all []*document
	var hashes []string
	for i := range 12 {
		d := first
		if i > 0 {
			if d = all[i-1].checkpoint(nil, now); i%4 == 0 {
				d = all[i-1].follow(strategies.Decision{Do: strategies.DoPause, Reason: "p"}, Paused, Actor{Name: "ana"}, now)
			}
			d.Before = hashes[i-1]
		}
		_, hash, err := d.encode()
		if err != nil {
			t.Fatal(err)
		}
		all, hashes = append(all, d), append(hashes, hash)
	}
	for i, known := range all {
		d := newDriver(&Engine{cfg: Config{wall: time.Now}}, nil, known, hashes[i], "")
		d.publishView()
		for j, read := range all {
			if err := d.check(read, hashes[j], known.commits()); (err == nil) != (j >= i) {
				t.Errorf("commit %d after commit %d: %v", j, i, err)
			}
		}
		forged := *all[min(i+1, len(all)-1)]
		forged.Before = "another"
		if err := d.check(&forged, "forged", known.commits()); err == nil {
			t.Errorf("after commit %d a commit was taken that does not follow it", i)
		}
	}
}

// TestEndIsFinal: a document that goes on after its rollout's end is not followed, also
// where it follows the last one by number and hash.
func TestEndIsFinal(t *testing.T) {
	now := time.Now()
	for _, phase := range []strategies.Phase{strategies.Promoted, strategies.RolledBack} {
		ended := newDocument(t)
		ended.Phase = phase
		_, hash, err := ended.encode()
		if err != nil {
			t.Fatal(err)
		}
		d := newDriver(&Engine{cfg: Config{wall: time.Now}}, nil, ended, hash, "")
		d.publishView()
		for _, next := range []strategies.Phase{strategies.Preflight, strategies.Baking, strategies.Promoted, strategies.RolledBack} {
			doc := ended.checkpoint(nil, now)
			doc.Before, doc.Phase = hash, next
			if err := d.check(doc, "later", ended.commits()); (err == nil) != next.Terminal() {
				t.Errorf("%s after %s: %v", next, phase, err)
			}
		}
	}
}

// TestCheckpointKeepsTheEvent: the event that a checkpoint leaves in the document is
// stored as the bytes that were hashed, also where this version would write others.
func TestCheckpointKeepsTheEvent(t *testing.T) {
	for _, raw := range []string{
		`{"rollout":"chat/1","seq":1,"hash":"x"}`,
		`{"seq":1,"rollout":"chat/1","of a later version":[1,2],"hash":"x"}`,
	} {
		d := newDocument(t)
		if err := json.Unmarshal([]byte(raw), &d.Last); err != nil {
			t.Fatal(err)
		}
		d.lastRaw = json.RawMessage(raw)
		for n := uint64(1); n < 4; n++ {
			next := d.checkpoint(&analysis.Judgement{Reason: "r"}, time.Now())
			next.slim()
			value, _, err := next.encode()
			if err != nil {
				t.Fatal(err)
			}
			if d, _, err = decodeDocument("chat", value); err != nil {
				t.Fatal(err)
			}
			if string(d.lastRaw) != raw || d.Seq != 1 || d.commits() != 1+n || d.Last.Hash != "x" || d.Note.Judgement != nil {
				t.Errorf("after checkpoint %d: %v, %s, want %s", n, d.commits(), d.lastRaw, raw)
			}
		}
		ev := d.follow(strategies.Decision{Do: strategies.DoPause, Reason: "p"}, Paused, Actor{Name: "ana"}, time.Now())
		if ev.Seq != 2 || ev.commits() != d.commits()+1 || ev.Last.Prev != "x" || ev.Note != nil {
			t.Errorf("the event after it: %d of %d commits, prev %q", ev.Seq, ev.commits(), ev.Last.Prev)
		}
	}
}

// FuzzDecodeDocument: whatever is stored, decoding ends with a document that
// can be driven or with a DamagedError. The second way in goes past the hash,
// as somebody would who writes to the store by hand.
func FuzzDecodeDocument(f *testing.F) {
	d := newDocument(f)
	body, err := json.Marshal(d)
	if err != nil {
		f.Fatal(err)
	}
	value, _, err := d.encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{value, body, nil, []byte("{}"), []byte(`{"format":1,"id":"chat/1"}`)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		signed, err := json.Marshal(envelope{Sum: hashOf(data), Doc: json.RawMessage(data)})
		for _, value := range [][]byte{data, signed} {
			if value == nil && err != nil {
				continue // data is no JSON
			}
			d, _, err := decodeDocument("chat", value)
			var damaged *DamagedError
			switch {
			case err == nil && d.Stage < len(d.Plan.Stages) && d.Split.Validate() == nil:
				strategies.Next(d.Plan.Stages, d.state(analysis.Judgement{}, time.Now()))
			case err == nil || !errors.As(err, &damaged):
				t.Errorf("decoded %+v, %v", d, err)
			}
		}
	})
}
