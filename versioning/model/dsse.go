package model

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// payloadType is the type of the payload of an envelope by [Sign].
const payloadType = "application/vnd.in-toto+json"

// Envelope is a DSSE envelope, https://github.com/secure-systems-lab/dsse. It reads
// both alphabets of base64, with and without padding, and writes the standard one.
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

// UnmarshalJSON reads an envelope. Fields that DSSE does not define are ignored, as
// it demands. A repeated key or data after the envelope is an error.
func (e *Envelope) UnmarshalJSON(text []byte) error {
	if _, err := parseJSON(text); err != nil {
		return fmt.Errorf("model: envelope: %w", err)
	}
	var read struct {
		PayloadType string  `json:"payloadType"`
		Payload     *string `json:"payload"`
		Signatures  []struct {
			KeyID string  `json:"keyid"`
			Sig   *string `json:"sig"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return fmt.Errorf("model: envelope: %w", err)
	}
	out := Envelope{PayloadType: read.PayloadType}
	var err error
	if out.Payload, err = decodeBase64("payload", read.Payload); err != nil {
		return err
	}
	for i, s := range read.Signatures {
		sig, err := decodeBase64(fmt.Sprintf("signatures[%d].sig", i), s.Sig)
		if err != nil {
			return err
		}
		out.Signatures = append(out.Signatures, Signature{s.KeyID, sig})
	}
	*e = out
	return nil
}

func decodeBase64(field string, text *string) ([]byte, error) {
	if text == nil {
		return nil, fmt.Errorf("model: envelope: %s: missing", field)
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(*text, "-_") {
		encoding = base64.RawURLEncoding
	}
	b, err := encoding.Strict().DecodeString(strings.TrimRight(*text, "="))
	if err != nil {
		return nil, fmt.Errorf("model: envelope: %s: not base64: %w", field, err)
	}
	return b, nil
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
// each key. Keys are Ed25519, ECDSA on P-256 with SHA-256 or on P-384 with SHA-384, or
// RSA of 2048 bits or more with PSS and SHA-256, as other implementations of DSSE
// expect them. A key in a hardware module or a key service can be a [crypto.Signer] too. The payload is an
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
		options, err := schemeOf(key.Public())
		if err != nil {
			return Envelope{}, err
		}
		sig, err := key.Sign(rand.Reader, digested(message, options.HashFunc()), options)
		if err != nil {
			return Envelope{}, fmt.Errorf("model: key %s: sign: %w", id, err)
		}
		e.Signatures = append(e.Signatures, Signature{id, sig})
	}
	return e, nil
}

// schemeOf returns the hash and the padding of signatures with a key.
func schemeOf(key crypto.PublicKey) (crypto.SignerOpts, error) {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return crypto.Hash(0), nil
	case *ecdsa.PublicKey:
		if key == nil || key.Curve == nil {
			return nil, errors.New("model: key: empty ECDSA key")
		}
		switch key.Curve {
		case elliptic.P256():
			return crypto.SHA256, nil
		case elliptic.P384():
			return crypto.SHA384, nil
		}
		return nil, errors.New("model: key: unknown curve (want P-256 or P-384)")
	case *rsa.PublicKey:
		if key == nil || key.N == nil {
			return nil, errors.New("model: key: empty RSA key")
		}
		const least = 2048
		if key.N.BitLen() < least {
			return nil, fmt.Errorf("model: key: RSA key too short (have %d bits, want %d or more)", key.N.BitLen(), least)
		}
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}, nil
	}
	return nil, fmt.Errorf("model: key: unknown type (have %T, want Ed25519, ECDSA or RSA)", key)
}

// digested returns the hash of a message, or the message for hash 0.
func digested(message []byte, hash crypto.Hash) []byte {
	if hash == 0 {
		return message
	}
	h := hash.New()
	h.Write(message)
	return h.Sum(nil)
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
	if _, err := parseJSON(text); err != nil {
		return s, fmt.Errorf("model: payload: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("model: payload: not a statement: %w", err)
	}
	return s, nil
}

func signedByAny(e Envelope, trusted []crypto.PublicKey) bool {
	message := preAuthentication(e.PayloadType, e.Payload)
	for _, key := range trusted {
		options, err := schemeOf(key)
		if err != nil {
			continue
		}
		sum := digested(message, options.HashFunc())
		for _, s := range e.Signatures {
			ok := false
			switch key := key.(type) {
			case ed25519.PublicKey:
				ok = len(key) == ed25519.PublicKeySize && ed25519.Verify(key, message, s.Sig)
			case *ecdsa.PublicKey:
				ok = ecdsa.VerifyASN1(key, sum, s.Sig)
			case *rsa.PublicKey:
				// Other tools use salts of any length, or the older padding.
				any := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}
				ok = rsa.VerifyPSS(key, crypto.SHA256, sum, s.Sig, any) == nil || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, s.Sig) == nil
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
