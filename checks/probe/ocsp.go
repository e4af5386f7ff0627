package probe

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

var (
	oidFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}
	oidBasic   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidSHA1    = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
)

// mustStaple reports whether c requires a stapled OCSP response (RFC 7633: the TLS feature
// 5, status_request).
func mustStaple(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidFeature) {
			continue
		}
		var features []int
		rest, err := asn1.Unmarshal(e.Value, &features)
		return err != nil || len(rest) > 0 || slices.Contains(features, 5)
	}
	return false
}

// The messages of RFC 6960, section 4.2.
type (
	ocspResponse struct {
		Status asn1.Enumerated
		Body   ocspBody `asn1:"explicit,tag:0,optional"`
	}
	ocspBody struct {
		Type  asn1.ObjectIdentifier
		Basic []byte
	}
	ocspBasic struct {
		Data         ocspData
		Algorithm    pkix.AlgorithmIdentifier
		Signature    asn1.BitString
		Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	ocspData struct {
		Raw       asn1.RawContent
		Version   int `asn1:"optional,default:0,explicit,tag:0"`
		Responder asn1.RawValue
		Produced  time.Time `asn1:"generalized"`
		Singles   []ocspSingle
	}
	ocspSingle struct {
		ID         ocspID
		Status     asn1.RawValue
		ThisUpdate time.Time        `asn1:"generalized"`
		NextUpdate time.Time        `asn1:"generalized,explicit,tag:0,optional"`
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
	ocspID struct {
		Hash      pkix.AlgorithmIdentifier
		Issuer    []byte
		IssuerKey []byte
		Serial    *big.Int
	}
)

// stapled returns an error unless response says that the first certificate of chain is good,
// at the time now, with a signature of its issuer or of a responder of the issuer.
func stapled(response []byte, chain []*x509.Certificate, now time.Time) error {
	if len(response) == 0 {
		return errors.New("the server sent no OCSP response")
	}
	if len(chain) < 2 {
		return errors.New("the certificate has no issuer")
	}
	leaf, issuer := chain[0], chain[1]
	var outer ocspResponse
	var basic ocspBasic
	if err := unmarshal(response, &outer); err != nil {
		return err
	}
	if outer.Status != 0 || !outer.Body.Type.Equal(oidBasic) {
		return fmt.Errorf("it has the status %d", outer.Status)
	}
	if err := unmarshal(outer.Body.Basic, &basic); err != nil {
		return err
	}
	signer := issuer
	if len(basic.Certificates) > 0 {
		responder, err := x509.ParseCertificate(basic.Certificates[0].FullBytes)
		if err != nil {
			return err
		}
		if !bytes.Equal(responder.Raw, issuer.Raw) {
			if err := delegated(responder, issuer, now); err != nil {
				return err
			}
			signer = responder
		}
	}
	algorithm, ok := ocspAlgorithms[basic.Algorithm.Algorithm.String()]
	if !ok {
		return fmt.Errorf("its signature algorithm %v is not supported", basic.Algorithm.Algorithm)
	}
	if err := signer.CheckSignature(algorithm, basic.Data.Raw, basic.Signature.RightAlign()); err != nil {
		return fmt.Errorf("its signature: %w", err)
	}
	for _, s := range basic.Data.Singles {
		if s.ID.Serial == nil || s.ID.Serial.Cmp(leaf.SerialNumber) != 0 || !issued(s.ID, issuer) {
			continue
		}
		switch {
		case s.Status.Class != asn1.ClassContextSpecific || s.Status.Tag > 1:
			return errors.New("it does not know the certificate")
		case s.Status.Tag == 1:
			return errors.New("the certificate is revoked")
		case s.ThisUpdate.After(now.Add(5 * time.Minute)):
			return fmt.Errorf("it is valid from %s on", s.ThisUpdate.UTC().Format(time.RFC3339))
		case s.NextUpdate.IsZero():
			return errors.New("it does not say until when it is valid")
		case s.NextUpdate.Before(now):
			return fmt.Errorf("it was valid until %s", s.NextUpdate.UTC().Format(time.RFC3339))
		}
		return nil
	}
	return errors.New("it is for another certificate")
}

func unmarshal(data []byte, v any) error {
	rest, err := asn1.Unmarshal(data, v)
	if err == nil && len(rest) > 0 {
		err = asn1.SyntaxError{Msg: "trailing data"}
	}
	return err
}

// delegated returns an error unless issuer allows responder to sign responses.
func delegated(responder, issuer *x509.Certificate, now time.Time) error {
	if err := responder.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("its responder: %w", err)
	}
	if now.Before(responder.NotBefore) || now.After(responder.NotAfter) || !slices.Contains(responder.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
		return errors.New("its responder may not sign it")
	}
	return nil
}

// issued reports whether id names issuer. It knows only the hash SHA-1, which nearly all
// responders use here: as an identifier, not as a signature.
func issued(id ocspID, issuer *x509.Certificate) bool {
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if !id.Hash.Algorithm.Equal(oidSHA1) || unmarshal(issuer.RawSubjectPublicKeyInfo, &key) != nil {
		return false
	}
	name, bits := sha1.Sum(issuer.RawSubject), sha1.Sum(key.Key.RightAlign())
	return bytes.Equal(id.Issuer, name[:]) && bytes.Equal(id.IssuerKey, bits[:])
}

// ocspAlgorithms are the algorithms of signatures by object identifier.
var ocspAlgorithms = map[string]x509.SignatureAlgorithm{
	"1.2.840.113549.1.1.11": x509.SHA256WithRSA,
	"1.2.840.113549.1.1.12": x509.SHA384WithRSA,
	"1.2.840.113549.1.1.13": x509.SHA512WithRSA,
	"1.2.840.10045.4.3.2":   x509.ECDSAWithSHA256,
	"1.2.840.10045.4.3.3":   x509.ECDSAWithSHA384,
	"1.2.840.10045.4.3.4":   x509.ECDSAWithSHA512,
	"1.3.101.112":           x509.PureEd25519,
}
