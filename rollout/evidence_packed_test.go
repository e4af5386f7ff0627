package rollout

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
)

// someEvidence returns evidence of two candidates.
func someEvidence() map[string]analysis.Evidence {
	tests := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("tests"), 100))
	var all map[string]analysis.Evidence
	if err := json.Unmarshal([]byte(`{
		"1.5.0": {"format": 2, "plan": "p", "baseline": {"arm": "1.4.0", "classes": {"ok": 7}}, "tests": "`+tests+`"},
		"1.6.0": {"format": 2, "plan": "p", "tripped": "breaker"}
	}`), &all); err != nil {
		panic(err)
	}
	return all
}

// asJSON returns v as JSON reads it, for comparisons. It leaves out members of these names.
func asJSON(t *testing.T, v any, without ...string) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var read any
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	var strip func(any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range without {
				delete(v, name)
			}
			for _, x := range v {
				strip(x)
			}
		case []any:
			for _, x := range v {
				strip(x)
			}
		}
	}
	strip(read)
	return read
}

func TestPackEvidence(t *testing.T) {
	want := someEvidence()
	packed, err := packEvidence(want)
	if err != nil {
		t.Fatal(err)
	}
	old, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"packed": packed, "JSON of earlier releases": old} {
		got, err := unpackEvidence(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(asJSON(t, want), asJSON(t, got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	if len(packed) > len(old)/3 {
		t.Errorf("%d bytes, as JSON %d", len(packed), len(old))
	}
}

func TestUnpackRefuses(t *testing.T) {
	packed, err := packEvidence(someEvidence())
	if err != nil {
		t.Fatal(err)
	}
	for i := range packed { // each bit counts
		b := bytes.Clone(packed)
		b[i] ^= 1 << (i % 8)
		if _, err := unpackEvidence(b); err == nil {
			t.Fatalf("accepted with a changed bit in byte %d", i)
		}
		if _, err := unpackEvidence(packed[:i]); err == nil {
			t.Fatalf("accepted %d of %d bytes", i, len(packed))
		}
	}
	sealed := func(body []byte) []byte { // a checksum that is right
		b := append(make([]byte, evidenceHead), body...)
		b[0] = evidenceVersion
		binary.LittleEndian.PutUint32(b[1:], crc32.Checksum(body, castagnoli))
		return b
	}
	for name, b := range map[string][]byte{
		"nothing packed": sealed(nil), "not packed": sealed([]byte("plain")), "JSON that is cut": []byte(`{"1.5.0":`),
		"stored parts that are cut": sealed([]byte{1, 2, 0, 0xfd, 0xff, 200, 1}),
	} {
		if _, err := unpackEvidence(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What unpacks to more than a process can hold is refused before it is held.
func TestUnpackIsBounded(t *testing.T) {
	var large analysis.Evidence
	large.Tests = make([]byte, maxUnpacked+1)
	huge := map[string]analysis.Evidence{"1.5.0": large}
	packed, err := packEvidence(huge)
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) > 256<<10 {
		t.Fatalf("%d bytes, which no store takes", len(packed))
	}
	if _, err := unpackEvidence(packed); err == nil {
		t.Error("accepted")
	}
}
