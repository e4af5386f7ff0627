package sealedstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/privacy"
)

// A sealed value is: the byte E1, the length of the ID of the wrapping key in one byte, the ID,
// the length of the wrapped data key in two bytes (big endian), the wrapped data key, and what
// AES-256-GCM with a random nonce makes of the value, with the key of the entry as associated
// data. If that is too large for the store, it is cut: under the key of the entry there are
// the byte E2, 16 bytes that name the key of the rest, and the first headSize bytes.
const (
	sealed   = 0xE1
	withRest = 0xE2
	restID   = 16
)

// dataKey is a data key that is ready for use.
type dataKey struct {
	aead    cipher.AEAD
	header  []byte
	until   time.Time
	sealing int
}

const (
	keyFor    = time.Hour // how long a data key seals
	keySeals  = 1 << 30   // how many values; NIST SP 800-38D, 8.3
	maxOpened = 10_000
)

// target returns the target that a key is about: the second element of its path.
func target(key string) string {
	_, rest, _ := strings.Cut(key, "/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// about binds a data key to its target.
func about(target string) []byte { return []byte("serin sealedstore\x00" + target) }

// header is the begin of a sealed value.
type header struct {
	wrapping string
	wrapped  []byte
	size     int
}

var errHeader = errors.New("not a sealed value")

func parseHeader(b []byte) (h header, err error) {
	if len(b) < 2 || b[0] != sealed || len(b) < 2+int(b[1])+2 {
		return h, errHeader
	}
	n := 2 + int(b[1])
	size := int(binary.BigEndian.Uint16(b[n:]))
	if len(b) < n+2+size {
		return h, errHeader
	}
	return header{string(b[2:n]), b[n+2 : n+2+size], n + 2 + size}, nil
}

// cutRest returns the key of the rest of a value and the value without it, if there is one.
func cutRest(b []byte) (rest string, head []byte, has bool) {
	if len(b) < 1+restID || b[0] != withRest {
		return "", b, false
	}
	return restPrefix + hex.EncodeToString(b[1:1+restID]), b[1+restID:], true
}

// seal seals a value.
func (s *Store) seal(ctx context.Context, key string, value []byte) ([]byte, error) {
	k, err := s.sealing(ctx, target(key))
	if err != nil {
		return nil, err
	}
	dst := make([]byte, 0, len(k.header)+len(value)+k.aead.Overhead())
	return k.aead.Seal(append(dst, k.header...), nil, value, []byte(key)), nil
}

// open opens a sealed value.
func (s *Store) open(ctx context.Context, key string, value []byte) ([]byte, error) {
	if len(value) == 0 || value[0] != sealed && value[0] != withRest {
		if s.plain {
			return value, nil
		}
		return nil, ErrPlain
	}
	damaged := fmt.Errorf("%w: %w", rollout.ErrDamaged, privacy.ErrSealed)
	h, err := parseHeader(value)
	if err != nil {
		return nil, damaged
	}
	k, err := s.opening(ctx, target(key), h)
	if errors.Is(err, privacy.ErrSealed) {
		return nil, damaged
	}
	if err != nil {
		return nil, err
	}
	plain, err := k.aead.Open(nil, nil, value[h.size:], []byte(key))
	if err != nil {
		return nil, damaged
	}
	return plain, nil
}

// sealing returns the data key that values of a target are sealed by.
func (s *Store) sealing(ctx context.Context, target string) (*dataKey, error) {
	s.mu.Lock()
	k := s.own[target]
	if k != nil && k.sealing < keySeals && time.Now().Before(k.until) {
		k.sealing++
		s.mu.Unlock()
		return k, nil
	}
	s.mu.Unlock()
	id, err := s.keys.Current(ctx)
	if err != nil {
		return nil, fmt.Errorf("sealedstore: wrapping key: %w", err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	defer clear(secret)
	wrapped, err := s.keys.Wrap(ctx, id, secret, about(target))
	if err != nil {
		return nil, fmt.Errorf("sealedstore: wrapping key %s: %w", id, err)
	}
	if back, err := s.keys.Unwrap(ctx, id, bytes.Clone(wrapped), about(target)); err != nil || !bytes.Equal(back, secret) {
		return nil, fmt.Errorf("sealedstore: wrapping key %s: a data key that it has wrapped does not open: %w", id, cmp.Or(err, privacy.ErrSealed))
	}
	const most = 2 << 10 // so that a value fits, see headSize
	if len(id) == 0 || len(id) > 64 || len(wrapped) > most {
		return nil, fmt.Errorf("sealedstore: wrapping key: ID of %d bytes and data key of %d, want 1 to 64 and at most %d", len(id), len(wrapped), most)
	}
	aead, err := newAEAD(secret)
	if err != nil {
		return nil, err
	}
	head := append([]byte{sealed, byte(len(id))}, id...)
	head = binary.BigEndian.AppendUint16(head, uint16(len(wrapped)))
	k = &dataKey{aead: aead, header: append(head, wrapped...), until: time.Now().Add(keyFor), sealing: 1}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own[target] = k
	s.keep(target, id, wrapped, k)
	return k, nil
}

func newAEAD(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret)
	if err != nil || len(secret) != 32 {
		return nil, fmt.Errorf("%w: a data key of %d bytes", privacy.ErrSealed, len(secret))
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func openedKey(target, id string, wrapped []byte) string {
	return target + "\x00" + id + "\x00" + string(wrapped)
}

// keep keeps a data key. The caller holds s.mu.
func (s *Store) keep(target, id string, wrapped []byte, k *dataKey) {
	if len(s.opened) >= maxOpened {
		clear(s.opened)
	}
	s.opened[openedKey(target, id, wrapped)] = k
}

// opening returns the data key of a value.
func (s *Store) opening(ctx context.Context, target string, h header) (*dataKey, error) {
	s.mu.Lock()
	k := s.opened[openedKey(target, h.wrapping, h.wrapped)]
	s.mu.Unlock()
	if k != nil {
		return k, nil
	}
	secret, err := s.keys.Unwrap(ctx, h.wrapping, bytes.Clone(h.wrapped), about(target))
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	aead, err := newAEAD(secret)
	if err != nil {
		return nil, err
	}
	k = &dataKey{aead: aead}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(target, h.wrapping, h.wrapped, k)
	return k, nil
}

// Check returns a check that a value can be sealed and opened. It implements
// [checks.Digester]: the digest identifies the wrapping key, so that an engine records by
// which key a rollout is kept, and notices another one after a restart.
func (s *Store) Check() checks.Check { return &check{s} }

type check struct{ store *Store }

// Digest implements [checks.Digester].
func (c *check) Digest() string {
	if d, ok := c.store.keys.(checks.Digester); ok {
		return d.Digest()
	}
	id, err := c.store.keys.Current(context.Background())
	if err != nil {
		return ""
	}
	return "key:" + id
}

// Check implements [checks.Check].
func (c *check) Check(ctx context.Context) checks.Result {
	id, err := c.store.keys.Current(ctx)
	if err == nil {
		err = c.store.probe(ctx)
	}
	if err != nil {
		return checks.Result{Err: fmt.Errorf("sealedstore: %w", err)}
	}
	return checks.Result{Status: checks.Pass, Summary: "values are sealed by key " + id, Evidence: map[string]string{"key": id, "digest": c.Digest()}}
}
