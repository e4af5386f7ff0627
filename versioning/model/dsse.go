package model

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// payloadType is the type of the payload of an envelope by [Sign].
const payloadType = "application/vnd.in-toto+json"

// Envelope is a DSSE envelope, https://github.com/secure-systems-lab/dsse.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"` // base64 in JSON
	Signatures  []Signature `json:"signatures"`
}

// Signature is one signature of an [Envelope].
type Signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"` // base64 in JSON
}

type (
	// statement is an in-toto Statement v1 with SLSA provenance v1 as its predicate.
	statement struct {
		Type          string    `json:"_type"`
		Subject       []subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     predicate `json:"predicate"`
	}
	subject struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	predicate struct {
		BuildDefinition buildDefinition `json:"buildDefinition"`
		RunDetails      runDetails      `json:"runDetails"`
	}
	buildDefinition struct {
		BuildType    string            `json:"buildType"`
		Parameters   map[string]string `json:"externalParameters"`
		Dependencies []dependency      `json:"resolvedDependencies,omitempty"`
	}
	dependency struct {
		URI    string            `json:"uri,omitempty"`
		Digest map[string]string `json:"digest,omitempty"`
	}
	runDetails struct {
		Builder  builder  `json:"builder"`
		Metadata metadata `json:"metadata,omitzero"`
	}
	builder struct {
		ID string `json:"id"`
	}
	metadata struct {
		InvocationID string `json:"invocationId,omitempty"`
	}
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
	buildType     = "https://github.com/serin-go/serin/model-manifest/v1"
)

// statement returns the provenance of the build. The subjects are the content of the
// model, the manifest, and each file, so that a signature covers the whole manifest.
func (m *Manifest) statement() (statement, error) {
	text, err := m.Canonical()
	if err != nil {
		return statement{}, err
	}
	named := func(name, digest string) subject {
		return subject{name, map[string]string{"sha256": strings.TrimPrefix(digest, digestPrefix)}}
	}
	s := statement{Type: statementType, PredicateType: predicateType}
	s.Subject = []subject{named(m.reference(), m.ContentDigest()), named("manifest.json", digestOf(text))}
	for _, f := range m.Files {
		s.Subject = append(s.Subject, named("files/"+f.Path, f.Digest))
	}
	p := m.Provenance
	s.Predicate.BuildDefinition = buildDefinition{BuildType: buildType, Parameters: map[string]string{"name": m.Name, "version": m.Version.String(), "variant": m.Variant}}
	if p.SourceRepo != "" || p.Commit != "" {
		d := dependency{URI: p.SourceRepo}
		if p.Commit != "" {
			d.Digest = map[string]string{"gitCommit": p.Commit}
		}
		s.Predicate.BuildDefinition.Dependencies = append(s.Predicate.BuildDefinition.Dependencies, d)
	}
	if m.Base != nil && validDigest(m.Base.Digest) {
		s.Predicate.BuildDefinition.Dependencies = append(s.Predicate.BuildDefinition.Dependencies, dependency{m.Base.Model, map[string]string{"sha256": strings.TrimPrefix(m.Base.Digest, digestPrefix)}})
	}
	s.Predicate.RunDetails.Builder.ID = p.Builder
	s.Predicate.RunDetails.Metadata.InvocationID = p.RunID
	return s, nil
}

// reference returns "chat@1.2.0" or "chat@1.2.0/int8".
func (m *Manifest) reference() string {
	s := m.Name + "@" + m.Version.String()
	if m.Variant != "" {
		s += "/" + m.Variant
	}
	return s
}

// preAuthentication returns the bytes that a DSSE signature covers.
func preAuthentication(payloadType string, payload []byte) []byte {
	head := "DSSEv1 " + strconv.Itoa(len(payloadType)) + " " + payloadType + " " + strconv.Itoa(len(payload)) + " "
	return append([]byte(head), payload...)
}

// Sign returns the provenance of the manifest in an envelope, with a signature of
// each key. Keys are Ed25519, or ECDSA or RSA (PKCS #1 v1.5) over SHA-256. A key in a
// hardware module or a key service can be a [crypto.Signer] too. The payload is an
// in-toto Statement v1 with SLSA provenance. Sign returns an error if there is no
// key, a key is nil or of another type, or the manifest is invalid.
func Sign(m Manifest, keys ...crypto.Signer) (Envelope, error) {
	if len(keys) == 0 {
		return Envelope{}, errors.New("model: keys: missing (have 0, want 1 or more)")
	}
	if err := m.Validate(); err != nil {
		return Envelope{}, err
	}
	s, err := m.statement()
	if err != nil {
		return Envelope{}, err
	}
	payload, err := json.Marshal(s)
	if err != nil {
		return Envelope{}, fmt.Errorf("model: %w", err)
	}
	e := Envelope{PayloadType: payloadType, Payload: payload}
	message := preAuthentication(payloadType, payload)
	for _, key := range keys {
		if key == nil {
			return Envelope{}, errors.New("model: keys: key is nil")
		}
		id, err := keyID(key.Public())
		if err != nil {
			return Envelope{}, err
		}
		signed, hash := message, crypto.Hash(0)
		if _, plain := key.Public().(ed25519.PublicKey); !plain {
			sum := sha256.Sum256(message)
			signed, hash = sum[:], crypto.SHA256
		}
		sig, err := key.Sign(rand.Reader, signed, hash)
		if err != nil {
			return Envelope{}, fmt.Errorf("model: key %s: sign: %w", id, err)
		}
		e.Signatures = append(e.Signatures, Signature{id, sig})
	}
	return e, nil
}

// keyID returns the SHA-256 of a public key in PKIX form, in hexadecimal.
func keyID(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("model: key of type %T: %w", key, err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// Verify returns nil if one of the trusted keys signed the envelope, and the envelope
// matches the manifest: its content, its text and its files. Verify ignores the key
// ids of the envelope.
func Verify(m Manifest, e Envelope, trusted ...crypto.PublicKey) error {
	if e.PayloadType != payloadType {
		return fmt.Errorf("model: envelope: wrong payload type (have %q, want %q)", clip(e.PayloadType), payloadType)
	}
	if !signedByAny(e, trusted) {
		return fmt.Errorf("model: envelope: no signature by any of the %d trusted keys", len(trusted))
	}
	want, err := m.statement()
	if err != nil {
		return err
	}
	text, err := json.Marshal(want)
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	if want, err = decodeStatement(text); err != nil {
		return err
	}
	got, err := decodeStatement(e.Payload)
	if err != nil {
		return err
	}
	if got.Type != statementType || got.PredicateType != predicateType {
		return fmt.Errorf("model: statement: wrong types (have %q and %q, want %q and %q)", clip(got.Type), clip(got.PredicateType), statementType, predicateType)
	}
	if len(got.Subject) != len(want.Subject) {
		return fmt.Errorf("model: statement: wrong number of subjects (have %d, want %d)", len(got.Subject), len(want.Subject))
	}
	for i, s := range want.Subject {
		if got.Subject[i].Name != s.Name || len(got.Subject[i].Digest) != 1 || got.Subject[i].Digest["sha256"] != s.Digest["sha256"] {
			return fmt.Errorf("model: statement: subject %d does not match (have %q with %v, want %q with %v)", i, clip(got.Subject[i].Name), got.Subject[i].Digest, s.Name, s.Digest)
		}
	}
	return nil
}

func decodeStatement(text []byte) (s statement, err error) {
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("model: payload: not a statement: %w", err)
	}
	return s, nil
}

func signedByAny(e Envelope, trusted []crypto.PublicKey) bool {
	message := preAuthentication(e.PayloadType, e.Payload)
	sum := sha256.Sum256(message)
	for _, key := range trusted {
		for _, s := range e.Signatures {
			ok := false
			switch key := key.(type) {
			case ed25519.PublicKey:
				ok = len(key) == ed25519.PublicKeySize && ed25519.Verify(key, message, s.Sig)
			case *ecdsa.PublicKey:
				ok = ecdsa.VerifyASN1(key, sum[:], s.Sig)
			case *rsa.PublicKey:
				ok = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], s.Sig) == nil
			}
			if ok {
				return true
			}
		}
	}
	return false
}

// clip shortens a text for an error message.
func clip(s string) string { return s[:min(len(s), 64)] }
