package peerbench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/alert/notify"
)

// postOffice is a real SMTP server, as its backend.
type postOffice struct {
	mu    sync.Mutex
	mails []string
	users []string
	tls   []bool
}

func (p *postOffice) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &session{p, secure}, nil
}

type session struct {
	office *postOffice
	secure bool
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "secret" {
			return smtp.ErrAuthFailed
		}
		s.office.mu.Lock()
		defer s.office.mu.Unlock()
		s.office.users = append(s.office.users, user)
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.mails, s.office.tls = append(s.office.mails, string(b)), append(s.office.tls, s.secure)
	return nil
}

// certificate returns one for localhost, and the roots that trust it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestMailToARealServer(t *testing.T) {
	cert, roots := certificate(t)
	office := &postOffice{}
	server := smtp.NewServer(office)
	server.Domain, server.TLSConfig = "localhost", &tls.Config{Certificates: []tls.Certificate{cert}}
	server.ErrorLog = discard{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	defer server.Close()
	o := notify.MailOptions{Server: l.Addr().String(), From: "rollouts@example.com", To: []string{"ana@example.com"}, User: "rollouts", Password: "secret", TLS: &tls.Config{RootCAs: roots}}
	m, err := notify.NewMail(o)
	if err != nil {
		t.Fatal(err)
	}
	n := alert.Notification{Key: "0123", Group: "target=chat", At: time.Now(), Alerts: []alert.Alert{{Name: "RolloutHeld", Severity: alert.Warning, Summary: ".\r\nheld é\r\n.\r\n", Began: time.Now()}}}
	if err := m.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	got, err := mail.ReadMessage(strings.NewReader(office.mails[0]))
	if err != nil || got.Header.Get("Subject") != "WARNING RolloutHeld (target=chat)" || !office.tls[0] || office.users[0] != "rollouts" {
		t.Errorf("%v, %v, %v, %v", got.Header, office.tls, office.users, err)
	}
	o.Password = "wrong"
	if m, err = notify.NewMail(o); err != nil {
		t.Fatal(err)
	}
	var refused *notify.Error
	if err := m.Notify(t.Context(), n); !errors.As(err, &refused) || refused.Status != 535 {
		t.Errorf("a wrong password: %v", err)
	}
	o.TLS = nil // the certificate is not trusted
	if m, err = notify.NewMail(o); err != nil {
		t.Fatal(err)
	}
	if err := m.Notify(t.Context(), n); err == nil || len(office.mails) != 1 {
		t.Errorf("a certificate that is not trusted: %v", err)
	}
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

// TestCloudEventsForTheSDK: the SDK reads both modes.
func TestCloudEventsForTheSDK(t *testing.T) {
	for _, binary := range []bool{false, true} {
		var got *cloudevents.Event
		var failed error
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, failed = cloudevents.NewEventFromHTTPRequest(r) }))
		sink, err := notify.CloudEvents(notify.CloudEventsOptions{URL: notify.Secret(s.URL), Binary: binary})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
		if err := sink.Notify(context.WithoutCancel(t.Context()), rollout.Event{Rollout: "chat/3", Seq: 17, At: at, Kind: rollout.Paused}); err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		var data rollout.Event
		if err := errors.Join(got.Validate(), got.DataAs(&data)); err != nil || got.ID() != "chat/3/17" || got.Type() != "com.github.serin-go.rollout.paused" || !got.Time().Equal(at) || data.Seq != 17 {
			t.Errorf("binary %v: %v, %v", binary, got, err)
		}
		s.Close()
	}
}
