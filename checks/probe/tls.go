package probe

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// TLSOptions configures [TLS].
type TLSOptions struct {
	// Addr is the host and the port, such as "gateway.example.com:443".
	Addr string
	// Name is the name or the IP address that the certificate must have. Default: the
	// host of Addr.
	Name string
	// Min is the oldest version that the server may accept, from tls.VersionTLS10 to
	// tls.VersionTLS13. Default tls.VersionTLS12.
	Min uint16
	// Left is the least time until the chain expires. Default 21 days.
	Left time.Duration
	// Roots are the trusted authorities. If nil, the authorities of the system. The digest
	// of the check has their names, but not their keys.
	Roots *x509.CertPool
	// ALPN are protocols such as "h2", of which the server must select one. Default: none
	// is offered.
	ALPN []string
	// MaxTime is the time limit. Default 10 s.
	MaxTime time.Duration
}

// TLS returns a check of a TLS server:
//
//   - The certificate is valid for the name, and chains up to a trusted authority.
//   - The chain lasts at least Left. Of several chains, the one that lasts longest counts,
//     with its certificate that expires first.
//   - The keys have at least 2048 bits (RSA) or 256 bits (ECDSA), or are Ed25519. SHA-1
//     signs no certificate, except that the signature of a root does not matter.
//   - A certificate that requires a stapled OCSP response (RFC 7633) has one, which is
//     signed, current, and good.
//   - The server refuses all versions older than Min by an alert. If it closes the
//     connection or does not answer instead, the result is Unknown.
//
// A check makes one connection for each version from 1.0 to 1.3, and one as clients make it,
// which offers all versions from Min on, in parallel. For versions older than Min it offers
// all cipher suites that it knows, including insecure ones. It sends no client certificate,
// and so does not need one to see all of this: from Min on, a version counts as accepted if
// the handshake succeeds, or if the server breaks it off because it has asked for a client
// certificate. A handshake that fails after the server has sent its certificate, such as by
// a signature of another private key, is a Fail.
//
// The error of a Fail is or wraps [x509.HostnameError], [x509.UnknownAuthorityError],
// [x509.CertificateInvalidError] or [x509.InsecureAlgorithmError] if one of these is the
// reason. Evidence: the accepted versions; version, cipher, group (such as X25519MLKEM768)
// and ALPN of the newest; days until the chain expires, the date, and which certificate
// expires first.
func TLS(o TLSOptions) checks.Check {
	bad := &invalid{options: "TLSOptions"}
	host := bad.hostPort("Addr", o.Addr)
	bad.positive("Left", o.Left)
	bad.limit("MaxTime", &o.MaxTime)
	if o.Name == "" {
		o.Name = host
	}
	if o.Min == 0 {
		o.Min = tls.VersionTLS12
	}
	if o.Min < tls.VersionTLS10 || o.Min > tls.VersionTLS13 {
		bad.add("Min", o.Min, "a version from tls.VersionTLS10 to tls.VersionTLS13")
	}
	if o.Left == 0 {
		o.Left = 21 * 24 * time.Hour
	}
	o.ALPN = slices.Clone(o.ALPN)
	for i, protocol := range o.ALPN {
		if protocol == "" || len(protocol) > 255 {
			bad.add(fmt.Sprintf("ALPN[%d]", i), protocol, "a name of 1 to 255 bytes")
		}
	}
	var roots [][]byte
	if o.Roots != nil {
		o.Roots = o.Roots.Clone()
		//lint:ignore SA1019 the pool is not the one of the system, whose names would be missing
		roots = append(make([][]byte, 0), o.Roots.Subjects()...)
		slices.SortFunc(roots, bytes.Compare)
	}
	requirements := []any{o.Addr, o.Name, o.Min, o.Left, roots, o.ALPN, o.MaxTime}
	return probing.New("tls", o.MaxTime, requirements, bad.err(), func(ctx context.Context) checks.Result {
		var all [4]handshake
		var usual handshake
		var wg sync.WaitGroup
		for i := range all {
			version := tls.VersionTLS10 + uint16(i)
			wg.Go(func() { all[i] = shake(ctx, o, version, version) })
		}
		wg.Go(func() { usual = shake(ctx, o, o.Min, tls.VersionTLS13); usual.usual = true })
		wg.Wait()
		return judge(ctx, o, all[:], usual)
	})
}

// handshake is the outcome of an attempt to use one version, or the usual range.
type handshake struct {
	version uint16                            // the newest that was offered
	usual   bool                              // whether older ones from Min on were offered as well
	old     bool                              // whether it is older than Min
	state   *tls.ConnectionState              // if the server has sent a trusted certificate
	chain   *tls.CertificateVerificationError // if the server has sent another one
	asked   bool                              // whether the server has asked for a client certificate
	err     error
}

// offer is what was offered.
func (h handshake) offer() string {
	if h.usual {
		return "all versions on offer"
	}
	return tls.VersionName(h.version)
}

// accepted reports whether the server has accepted the version. For an old version it is
// enough that it goes on to its certificate.
func (h handshake) accepted() bool {
	return h.chain != nil || h.state != nil && (h.old || h.err == nil || h.asked && h.alert(
		handshakeFailure, noCertificate, badCertificate, unsupportedCertificate, certificateUnknown, unknownCA, accessDenied, certificateRequired))
}

// Alerts (RFC 8446, section 6.2; noCertificate is from SSL 3.0).
const (
	handshakeFailure       tls.AlertError = 40
	noCertificate          tls.AlertError = 41
	badCertificate         tls.AlertError = 42
	unsupportedCertificate tls.AlertError = 43
	certificateUnknown     tls.AlertError = 46
	unknownCA              tls.AlertError = 48
	accessDenied           tls.AlertError = 49
	protocolVersion        tls.AlertError = 70
	insufficientSecurity   tls.AlertError = 71
	internalError          tls.AlertError = 80
	certificateRequired    tls.AlertError = 116
)

// alert reports whether the server has sent one of the alerts.
func (h handshake) alert(alerts ...tls.AlertError) bool {
	var e *net.OpError
	if !errors.As(h.err, &e) || e.Op != remoteAlert {
		return false
	}
	return slices.ContainsFunc(alerts, func(a tls.AlertError) bool { return e.Err.Error() == a.Error() }) // package tls does not export the type
}

// failed is the result of a handshake that has failed.
func (h handshake) failed(ctx context.Context, what string) checks.Result {
	r := failed(ctx, what, h.err)
	if h.state != nil && ctx.Err() == nil { // the server has answered, but not as it must
		r.Status = checks.Fail
	}
	return r
}

// refused reports whether the server has declined the version by an alert. OpenSSL sends
// internalError if its security level excludes the version.
func (h handshake) refused() bool {
	return !h.accepted() && h.alert(handshakeFailure, protocolVersion, insufficientSecurity, internalError)
}

// shake attempts a handshake with the versions from oldest to newest.
func shake(ctx context.Context, o TLSOptions, oldest, newest uint16) (h handshake) {
	h.version, h.old = newest, newest < o.Min
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", o.Addr)
	if err != nil {
		h.err = err
		return h
	}
	config := &tls.Config{
		ServerName: o.Name, RootCAs: o.Roots, NextProtos: o.ALPN, MinVersion: oldest, MaxVersion: newest,
		VerifyConnection: func(s tls.ConnectionState) error { h.state = &s; return nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			h.asked = true
			return new(tls.Certificate), nil
		},
	}
	if h.old {
		for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
			config.CipherSuites = append(config.CipherSuites, suite.ID)
		}
	}
	c := tls.Client(conn, config)
	defer c.Close()
	if h.err = c.HandshakeContext(ctx); h.err == nil {
		s := c.ConnectionState()
		h.state = &s
	}
	errors.As(h.err, &h.chain)
	return h
}

// judge compares the outcomes of all versions, in their order, and of the usual handshake
// with o.
func judge(ctx context.Context, o TLSOptions, all []handshake, usual handshake) checks.Result {
	var accepted, old []string
	var newest *handshake
	var unclear error
	for i, h := range all {
		name := strings.TrimPrefix(tls.VersionName(h.version), "TLS ")
		switch {
		case h.accepted() && h.old:
			old = append(old, name)
		case h.accepted():
			newest = &all[i]
		case h.old && !h.refused():
			unclear = fmt.Errorf("it is not known whether TLS %s is refused: %w", name, h.err)
		}
		if h.accepted() {
			accepted = append(accepted, name)
		}
	}
	if newest == nil && old == nil {
		i := slices.IndexFunc(all, func(h handshake) bool { return !h.old && !h.refused() })
		if i < 0 {
			i = len(all) - 1
		}
		return all[i].failed(ctx, o.Addr)
	}
	r := checks.Result{Evidence: map[string]string{"versions": strings.Join(accepted, ", ")}}
	var problems []string
	if old != nil {
		problems = append(problems, fmt.Sprintf("accepts TLS %s, want only %s and newer", strings.Join(old, ", "), tls.VersionName(o.Min)))
	}
	if newest == nil {
		problems = append(problems, "accepts no version from "+tls.VersionName(o.Min)+" on")
	}
	seen := make(map[string]bool)
	for _, h := range slices.Backward(append([]handshake{usual}, all...)) {
		var text string
		var err error
		switch {
		case h.old:
		case h.accepted():
			text, err = certificates(o, h, r.Evidence)
		case h.state != nil, h.usual && newest != nil:
			end := h.failed(ctx, "the handshake with "+h.offer()+" fails")
			if text, err = end.Summary, end.Err; end.Status != checks.Fail {
				text, unclear = "", cmp.Or(unclear, err)
			}
		}
		if text != "" && !seen[text] {
			seen[text] = true
			problems = append(problems, text)
			r.Err = errors.Join(r.Err, err)
		}
	}
	switch {
	case len(problems) > 0:
		r.Status, r.Summary = checks.Fail, o.Addr+": "+strings.Join(problems, "; ")
	case unclear != nil:
		r.Summary, r.Err = o.Addr+": "+unclear.Error(), unclear
	default:
		r.Status, r.Summary = checks.Pass, fmt.Sprintf("%s: %s, valid for %s more days", o.Addr, tls.VersionName(newest.version), r.Evidence["days"])
	}
	return r
}

// certificates says what is wrong with the connection of one version, or "", and adds to
// evidence if the connection is of the newest version.
func certificates(o TLSOptions, h handshake, evidence map[string]string) (string, error) {
	add := func(key, value string) {
		if _, newer := evidence[key]; !newer {
			evidence[key] = value
		}
	}
	version := h.version
	if h.state != nil {
		version = h.state.Version
	}
	add("version", tls.VersionName(version))
	ends := func(first *x509.Certificate) {
		add("days", strconv.Itoa(int(math.Floor(time.Until(first.NotAfter).Hours()/24))))
		add("until", first.NotAfter.UTC().Format(time.RFC3339))
		add("first", title(first))
	}
	if h.chain != nil {
		ends(expiring(h.chain.UnverifiedCertificates))
		for _, c := range h.chain.UnverifiedCertificates {
			if alg := c.SignatureAlgorithm; outdated(alg) && c.Issuer.String() != c.Subject.String() {
				return fmt.Sprintf("%s is signed with %v", title(c), alg), errors.Join(x509.InsecureAlgorithmError(alg), h.chain.Err)
			}
		}
		return h.chain.Err.Error(), h.chain.Err
	}
	s := h.state
	add("cipher", tls.CipherSuiteName(s.CipherSuite))
	if s.CurveID != 0 {
		add("group", s.CurveID.String())
	}
	if s.NegotiatedProtocol != "" {
		add("alpn", s.NegotiatedProtocol)
	}
	if len(s.VerifiedChains) == 0 {
		return "the certificate was not verified", nil
	}
	chain, first := lasting(s.VerifiedChains)
	ends(first)
	if text := weakness(chain); text != "" {
		return text, nil
	}
	if left := time.Until(first.NotAfter); left < o.Left {
		return fmt.Sprintf("%s is valid for %v more, want %v", title(first), left.Round(time.Minute), o.Left), nil
	}
	if len(o.ALPN) > 0 && s.NegotiatedProtocol == "" {
		return "the server selects none of the protocols " + strings.Join(o.ALPN, ", "), nil
	}
	if mustStaple(chain[0]) {
		if err := stapled(s.OCSPResponse, chain, time.Now()); err != nil {
			return "the certificate requires a stapled OCSP response: " + err.Error(), err
		}
		add("ocsp", "good")
	}
	return "", nil
}

// lasting returns the chain that lasts longest, and its certificate that expires first. It
// prefers chains without weaknesses.
func lasting(chains [][]*x509.Certificate) (chain []*x509.Certificate, first *x509.Certificate) {
	strong := slices.DeleteFunc(slices.Clone(chains), func(c []*x509.Certificate) bool { return weakness(c) != "" })
	if len(strong) > 0 {
		chains = strong
	}
	for _, c := range chains {
		ends := expiring(c)
		if first == nil || ends.NotAfter.After(first.NotAfter) {
			chain, first = c, ends
		}
	}
	return chain, first
}

// expiring returns the certificate that expires first.
func expiring(certs []*x509.Certificate) *x509.Certificate {
	return slices.MinFunc(certs, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
}

// weakness says which certificate of a chain has a weak key or signature, or "".
func weakness(chain []*x509.Certificate) string {
	for i, c := range chain {
		strong := false
		switch key := c.PublicKey.(type) {
		case *rsa.PublicKey:
			strong = key.N.BitLen() >= 2048
		case *ecdsa.PublicKey:
			strong = key.Curve.Params().BitSize >= 256
		case ed25519.PublicKey:
			strong = true
		}
		if !strong {
			return title(c) + " has a weak key, want RSA from 2048 bits, ECDSA from 256 bits, or Ed25519"
		}
		if i < len(chain)-1 && outdated(c.SignatureAlgorithm) {
			return fmt.Sprintf("%s is signed with %v", title(c), c.SignatureAlgorithm)
		}
	}
	return ""
}

// outdated reports whether collisions of the hash of a signature are known.
func outdated(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

// title is the common name of a certificate, or else its first name or its serial number.
func title(c *x509.Certificate) string {
	switch {
	case c.Subject.CommonName != "":
		return fmt.Sprintf("the certificate %q", c.Subject.CommonName)
	case len(c.DNSNames) > 0:
		return fmt.Sprintf("the certificate for %q", c.DNSNames[0])
	}
	return fmt.Sprintf("the certificate with the serial number %x", c.SerialNumber)
}
