package privacy

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
)

// KeyStore wraps data keys. A [Keyring] is one; implement it for a key management service
// (KMS). Methods are called concurrently.
type KeyStore interface {
	// Current returns the ID of the key that new data keys are wrapped by: 1 to 64 of a-z,
	// A-Z, 0-9, '.', '_', '/' and '-'.
	Current(ctx context.Context) (id string, err error)
	// Wrap encrypts a data key of 32 bytes. about is authenticated with it.
	Wrap(ctx context.Context, id string, key, about []byte) ([]byte, error)
	// Unwrap decrypts what Wrap returned. If the key id does not exist, the error wraps
	// [ErrNoKey].
	Unwrap(ctx context.Context, id string, wrapped, about []byte) ([]byte, error)
}

// The errors of keys and sealed values.
var (
	// ErrNoKey means that there is no such key.
	ErrNoKey = errors.New("privacy: no such key")
	// ErrSealed means that a sealed value was altered, or belongs to another person, field
	// or purpose.
	ErrSealed = errors.New("privacy: sealed value does not open: altered, or of another person, field or purpose")
	// ErrErased means that the person was erased.
	ErrErased = errors.New("privacy: the person was erased")
	// ErrWorn means that a key has wrapped as many data keys as is safe with random nonces
	// (NIST SP 800-38D, 8.3). Add a new key.
	ErrWorn = errors.New("privacy: the key has wrapped 2^31 data keys; add a new one")
)

var wrappingID = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,64}$`)

// maxWraps is how many data keys a wrapping key wraps. It is a variable for tests.
var maxWraps uint64 = 1 << 31

// WrappingKey is a key of a [Keyring].
type WrappingKey struct {
	ID     string
	Secret []byte // 32 random bytes
}

// Keyring is a [KeyStore] in memory: AES-256-GCM with random nonces. It counts the wraps of
// this process. Make one with [NewKeyring], [ReadKeyring] or [EnvKeyring]. It is safe for
// concurrent use.
type Keyring struct{ keys []*ringKey }

type ringKey struct {
	id     string
	aead   cipher.AEAD
	digest string
	wraps  atomic.Uint64
}

// NewKeyring returns a keyring. New data keys are wrapped by the first key; the others are
// older ones. Errors join a [*checks.InvalidError] for each problem; they do not have secrets.
func NewKeyring(keys ...WrappingKey) (*Keyring, error) {
	var errs []error
	if len(keys) == 0 {
		errs = append(errs, invalid("keys", "empty", "at least one key"))
	}
	r := &Keyring{}
	for i, k := range keys {
		if !wrappingID.MatchString(k.ID) || slices.ContainsFunc(r.keys, func(o *ringKey) bool { return o.id == k.ID }) {
			errs = append(errs, invalid(fmt.Sprintf("keys[%d].ID", i), k.ID, "1 to 64 of a-z, A-Z, 0-9, '.', '_', '/' and '-', each ID once"))
		}
		a, err := newAEAD(k.Secret)
		if err != nil {
			errs = append(errs, invalid(fmt.Sprintf("keys[%d].Secret", i), fmt.Sprintf("%d bytes", len(k.Secret)), "32 bytes"))
		}
		sum := sha256.Sum256(append([]byte("serin wrapping key\x00"+k.ID+"\x00"), k.Secret...))
		r.keys = append(r.keys, &ringKey{id: k.ID, aead: a, digest: "sha256:" + hex.EncodeToString(sum[:])})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, aes.KeySizeError(len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// maxKeyFile bounds a file of keys, in bytes.
const maxKeyFile = 1 << 20

// ReadKeyring reads a keyring from a file of mode 0600 or less: lines with the ID of a key, a
// space, and 32 bytes in base64. The first key is the current one. Empty lines and lines that
// begin with # are ignored.
func ReadKeyring(path string) (*Keyring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("privacy: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("privacy: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() > maxKeyFile {
		return nil, invalid("path", fmt.Sprintf("%s with mode %v and %d bytes", path, info.Mode(), info.Size()), "a regular file of mode 0600 and at most 1 MiB")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("privacy: %w", err)
	}
	return parseKeyring(path, strings.Split(string(text), "\n"))
}

// EnvKeyring reads a keyring from an environment variable: keys as in [ReadKeyring], separated
// by commas.
func EnvKeyring(name string) (*Keyring, error) {
	text, ok := os.LookupEnv(name)
	if !ok {
		return nil, invalid(name, "not set", "keys: an ID, a space and 32 bytes in base64, separated by commas")
	}
	return parseKeyring(name, strings.Split(text, ","))
}

func parseKeyring(source string, lines []string) (*Keyring, error) {
	var keys []WrappingKey
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		id, text, _ := strings.Cut(line, " ")
		secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil || len(secret) != 32 || !wrappingID.MatchString(id) {
			return nil, invalid(fmt.Sprintf("%s: key %d", source, i+1), "unreadable", "an ID, a space, and 32 bytes in base64") // without the line, which has the secret
		}
		keys = append(keys, WrappingKey{id, secret})
	}
	return NewKeyring(keys...)
}

// Current implements [KeyStore].
func (r *Keyring) Current(context.Context) (string, error) { return r.keys[0].id, nil }

// Digest returns the SHA-256 of the current key with its ID. It identifies the key in an audit
// trail, and does not reveal it.
func (r *Keyring) Digest() string { return r.keys[0].digest }

func (r *Keyring) key(id string) (*ringKey, error) {
	for _, k := range r.keys {
		if k.id == id {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: wrapping key %.64q", ErrNoKey, id)
}

// Wrap implements [KeyStore]. After 2^31 calls for one key it returns [ErrWorn].
func (r *Keyring) Wrap(_ context.Context, id string, key, about []byte) ([]byte, error) {
	k, err := r.key(id)
	if err != nil {
		return nil, err
	}
	if k.wraps.Add(1) > maxWraps {
		return nil, fmt.Errorf("%w: %s", ErrWorn, id)
	}
	return k.aead.Seal(nil, nil, key, about), nil
}

// Unwrap implements [KeyStore].
func (r *Keyring) Unwrap(_ context.Context, id string, wrapped, about []byte) ([]byte, error) {
	k, err := r.key(id)
	if err != nil {
		return nil, err
	}
	key, err := k.aead.Open(nil, nil, wrapped, about)
	if err != nil {
		return nil, fmt.Errorf("%w: a data key, by wrapping key %s", ErrSealed, id)
	}
	return key, nil
}
