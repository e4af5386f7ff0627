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
