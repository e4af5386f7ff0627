package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"strconv"

	"github.com/serin-go/serin/rollout"
)

// A file has two buckets: one of entries, and one with the record of them all. The
// second is so small that it is written with the root, at no cost.
var (
	entryBucket  = []byte("entries/2")
	recordBucket = []byte("record/2")
	recordKey    = []byte("all")
	// firstBucket is what a file of the first format has instead.
	firstBucket = []byte("serin")
)

// format is the number of the format of a file.
const format = 2

// A stored value is an 8-byte revision, an 8-byte hash of key, revision and value,
// and the value.
const headerSize = 8 + 8

var ecma = crc64.MakeTable(crc64.ECMA)

func encode(key []byte, rev uint64, value []byte) []byte {
	raw := make([]byte, headerSize, headerSize+len(value))
	binary.BigEndian.PutUint64(raw, rev)
	raw = append(raw, value...)
	binary.BigEndian.PutUint64(raw[8:], hash(key, raw))
	return raw
}

// header returns the revision of a stored value, and the hash that it should have.
func header(raw []byte) (rev, sum uint64, err error) {
	if len(raw) < headerSize {
		return 0, 0, fmt.Errorf("%d bytes are too few", len(raw))
	}
	return binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:]), nil
}

// hash returns the hash that a stored value has under a key.
func hash(key, raw []byte) uint64 {
	sum := crc64.Checksum(key, ecma)
	sum = crc64.Update(sum, ecma, raw[:8]) // of a fixed size, so no byte of the value passes for one of the key
	return crc64.Update(sum, ecma, raw[headerSize:])
}

// decode returns an entry. It is what is left of one if the error is not nil.
func (s *Store) decode(key, raw []byte) (rollout.Entry, error) {
	rev, want, err := header(raw)
	if err != nil {
		return rollout.Entry{}, s.damage(string(key), err)
	}
	entry := rollout.Entry{
		Key:      string(key),
		Value:    bytes.Clone(raw[headerSize:]), // raw is only valid during the transaction
		Revision: revision(rev),
	}
	if got := hash(key, raw); got != want {
		err = s.damage(string(key), fmt.Errorf("checksum %016x, want %016x", got, want))
	}
	return entry, err
}

func revision(n uint64) rollout.Revision { return rollout.Revision(strconv.FormatUint(n, 10)) }

// tally is the record of all entries: their number, the sum of their hashes, and the
// newest revision. A reader that finds other values has followed pages of an older or
// an unfinished transaction.
type tally struct {
	Count, Sum, Revision uint64
}

func (t *tally) add(hash uint64)    { t.Count++; t.Sum += hash }
func (t *tally) remove(hash uint64) { t.Count--; t.Sum -= hash }

func (t tally) encode() []byte {
	var raw []byte
	for _, n := range []uint64{t.Count, t.Sum, t.Revision} {
		raw = binary.BigEndian.AppendUint64(raw, n)
	}
	return binary.BigEndian.AppendUint64(raw, crc64.Checksum(raw, ecma))
}

func decodeTally(raw []byte) (tally, error) {
	if len(raw) != 4*8 {
		return tally{}, fmt.Errorf("the record of the entries has %d bytes", len(raw))
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(raw[8*i:]) }
	if at(3) != crc64.Checksum(raw[:3*8], ecma) {
		return tally{}, fmt.Errorf("the record of the entries has another checksum")
	}
	return tally{Count: at(0), Sum: at(1), Revision: at(2)}, nil
}
