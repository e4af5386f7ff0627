package rollout

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/serin-go/serin/checks/analysis"
)

// Evidence is stored under its key as a version, a checksum of what follows, and, packed:
// for each candidate its name and its evidence in binary form, each after its length.
// Earlier releases stored JSON, which is still read.
const (
	evidenceVersion = 1
	evidenceHead    = 1 + crc32.Size
	// maxUnpacked bounds evidence that is read, before it is known to be sound.
	maxUnpacked = 8 << 20
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	packers    = sync.Pool{New: func() any { w, _ := flate.NewWriter(nil, flate.BestSpeed); return w }}
)

// packEvidence returns the evidence of each candidate as it is stored.
func packEvidence(arms map[string]analysis.Evidence) ([]byte, error) {
	var plain []byte
	for _, arm := range slices.Sorted(maps.Keys(arms)) {
		plain = appendPart(plain, []byte(arm))
		body, err := arms[arm].MarshalBinary()
		if err != nil {
			return nil, err
		}
		plain = appendPart(plain, body)
	}
	packed := bytes.NewBuffer(make([]byte, evidenceHead, evidenceHead+len(plain)/2))
	w := packers.Get().(*flate.Writer)
	defer packers.Put(w)
	w.Reset(packed)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	b := packed.Bytes()
	b[0] = evidenceVersion
	binary.LittleEndian.PutUint32(b[1:], crc32.Checksum(b[evidenceHead:], castagnoli))
	return b, nil
}

func appendPart(b, part []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

var errEvidenceDamaged = errors.New("evidence is damaged")

// unpackEvidence reads what packEvidence has written, or JSON of an earlier release.
func unpackEvidence(b []byte) (map[string]analysis.Evidence, error) {
	arms := make(map[string]analysis.Evidence)
	switch {
	case len(b) > 0 && b[0] == '{':
		return arms, json.Unmarshal(b, &arms)
	case len(b) < evidenceHead:
		return nil, errEvidenceDamaged
	case b[0] != evidenceVersion:
		return nil, fmt.Errorf("evidence has version %d, want %d", b[0], evidenceVersion)
	case crc32.Checksum(b[evidenceHead:], castagnoli) != binary.LittleEndian.Uint32(b[1:]):
		return nil, fmt.Errorf("%w: its checksum differs", errEvidenceDamaged)
	}
	r := flate.NewReader(bytes.NewReader(b[evidenceHead:]))
	plain, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err != nil || len(plain) > maxUnpacked {
		return nil, fmt.Errorf("%w: %d bytes unpacked: %v", errEvidenceDamaged, len(plain), err)
	}
	for len(plain) > 0 {
		var arm, body []byte
		var ok [2]bool
		arm, plain, ok[0] = cutPart(plain)
		body, plain, ok[1] = cutPart(plain)
		if !ok[0] || !ok[1] {
			return nil, errEvidenceDamaged
		}
		var e analysis.Evidence
		if err := e.UnmarshalBinary(body); err != nil {
			return nil, err
		}
		arms[string(arm)] = e
	}
	return arms, nil
}

func cutPart(b []byte) (part, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}
