package rollout

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks/analysis"
)

// someEvidence returns evidence of two candidates.
func someEvidence() map[string]analysis.Evidence {
	return map[string]analysis.Evidence{
		"1.5.0": {Format: 2, Plan: "p", Baseline: analysis.ArmEvidence{Arm: "1.4.0", Classes: map[analysis.Class]int{analysis.OK: 7}}, Tests: bytes.Repeat([]byte("tests"), 100)},
		"1.6.0": {Format: 2, Plan: "p", Tripped: "breaker"},
	}
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
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
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
	huge := map[string]analysis.Evidence{"1.5.0": {Tests: make([]byte, maxUnpacked+1)}}
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
