package notify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
)

// MailOptions configure [Mail]. Server, From and To are required.
type MailOptions struct {
	// Server is the host and port of an SMTP server with STARTTLS, such as
	// "mail.example.com:587". Without STARTTLS only a server on this host is used.
	Server string `env:"SERVER"`
	// From and To are addresses, such as "Rollouts <rollouts@example.com>". To has 1 to 50.
	From string   `env:"FROM"`
	To   []string `env:"TO"`
	// User and Password sign in, by AUTH PLAIN over TLS only. Empty means not to.
	User     string `env:"USER"`
	Password Secret `env:"PASSWORD"`
	// TLS is used for STARTTLS. If nil, the certificate must be valid for the host.
	TLS *tls.Config `env:", noinit"`
}

// Mail sends mails in text and HTML. Mails about one group of alerts are a thread. Make one with
// [NewMail].
type Mail struct {
	o    MailOptions
	from *mail.Address
	to   []*mail.Address
	host string
	hide hider

	mu   sync.Mutex
	done map[string]map[string]bool // recipients of messages that others have not got yet
}

// NewMail returns a notifier. Errors are [*checks.InvalidError] values, joined.
func NewMail(o MailOptions) (*Mail, error) {
	var errs []error
	m := &Mail{o: o, hide: newHider(string(o.Password), "\x00"+o.User+"\x00"+string(o.Password)), done: make(map[string]map[string]bool)}
	host, port, err := net.SplitHostPort(o.Server)
	if err != nil || host == "" || port == "" || strings.ContainsAny(o.Server, "\r\n \t") {
		errs = append(errs, invalid("MailOptions.Server", fmt.Sprintf("%.100q", o.Server), `a host and a port, such as "mail.example.com:587"`))
	}
	m.host = host
	if m.from, err = parseAddress(o.From); err != nil {
		errs = append(errs, invalid("MailOptions.From", fmt.Sprintf("%.100q", o.From), "an address"))
	}
	if len(o.To) == 0 || len(o.To) > 50 {
		errs = append(errs, invalid("MailOptions.To", len(o.To), "1 to 50 addresses"))
	}
	for i, to := range o.To[:min(len(o.To), 50)] {
		a, err := parseAddress(to)
		if err != nil {
			errs = append(errs, invalid(fmt.Sprintf("MailOptions.To[%d]", i), fmt.Sprintf("%.100q", to), "an address"))
			continue
		}
		m.to = append(m.to, a)
	}
	if (o.User == "") != (o.Password == "") {
		errs = append(errs, invalid("MailOptions.User", "one of User and Password", "both or none"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

func parseAddress(s string) (*mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil || strings.ContainsAny(s, "\r\n") || strings.ContainsAny(a.Name+a.Address, "\r\n") {
		return nil, errors.New("notify: not an address")
	}
	return a, nil
}

// Notify implements [alert.Notifier]. Each recipient is tried, whether others are refused or not.
// What some recipients have got is not sent to them again. The error is about the others.
func (m *Mail) Notify(ctx context.Context, n alert.Notification) error {
	body, err := m.compose(n)
	if err != nil {
		return err
	}
	got, all, err := m.deliver(ctx, body, m.left(n.Key))
	if err != nil {
		return m.explain(ctx, err)
	}
	m.note(n.Key, got, len(all.others) > 0)
	err = all.err()
	var p *partial
	if len(got) > 0 && errors.As(err, &p) {
		p.refused = nil // some recipients have all alerts
	}
	return err
}

// left returns the recipients that have not got a message.
func (m *Mail) left(key string) (list []*mail.Address) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, to := range m.to {
		if !m.done[key][to.Address] {
			list = append(list, to)
		}
	}
	return list
}

// note remembers who has got a message, if others are tried again.
func (m *Mail) note(key string, got []string, again bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !again {
		delete(m.done, key)
		return
	}
	if m.done[key] == nil {
		if len(m.done) >= 100 {
			clear(m.done)
		}
		m.done[key] = make(map[string]bool)
	}
	for _, to := range got {
		m.done[key][to] = true
	}
}

// explain words an error of the server or the network.
func (m *Mail) explain(ctx context.Context, err error) error {
	var answered *textproto.Error
	if errors.As(err, &answered) {
		e := &Error{Receiver: "mail", Status: answered.Code, Reason: fmt.Sprintf("answered %d: %s", answered.Code, m.hide.text(answered.Msg))}
		if answered.Code/100 == 5 {
			return rollout.Permanent(e)
		}
		return e
	}
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	return &Error{Receiver: "mail", Reason: m.hide.text(plain(ctx, err))}
}

// local reports whether the server is on this host.
func (m *Mail) local() bool {
	ip := net.ParseIP(m.host)
	return m.host == "localhost" || ip != nil && ip.IsLoopback()
}

// deliver sends a mail, and returns who has got it, and the errors of the others.
func (m *Mail) deliver(ctx context.Context, body []byte, list []*mail.Address) (got []string, all parts, err error) {
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", m.o.Server)
	if err != nil {
		return nil, parts{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if ctx.Err() == nil {
		_ = conn.SetDeadline(time.Now().Add(timeout)) // an end of ctx sets an earlier one
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return nil, parts{}, err
	}
	defer c.Close()
	secure, _ := c.Extension("STARTTLS")
	if secure {
		config := &tls.Config{}
		if m.o.TLS != nil {
			config = m.o.TLS.Clone()
		}
		if config.ServerName == "" {
			config.ServerName = m.host
		}
		config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
		if err := c.StartTLS(config); err != nil {
			return nil, parts{}, err
		}
	} else if !m.local() {
		return nil, parts{}, rollout.Permanent(&Error{Receiver: "mail", Reason: "the server does not offer STARTTLS"})
	}
	if m.o.User != "" {
		if !secure {
			return nil, parts{}, rollout.Permanent(&Error{Receiver: "mail", Reason: "the server wants a password without TLS"})
		}
		if err := c.Auth(smtp.PlainAuth("", m.o.User, string(m.o.Password), m.host)); err != nil {
			return nil, parts{}, err
		}
	}
	if err := c.Mail(m.from.Address); err != nil {
		return nil, parts{}, err
	}
	for _, to := range list {
		err := c.Rcpt(to.Address)
		var answered *textproto.Error
		if err != nil && !errors.As(err, &answered) {
			return nil, parts{}, err
		}
		if err != nil {
			all.add("", m.explain(ctx, &textproto.Error{Code: answered.Code, Msg: to.Address + ": " + answered.Msg}))
			continue
		}
		got = append(got, to.Address)
	}
	if len(got) == 0 {
		return nil, all, nil
	}
	w, err := c.Data()
	if err != nil {
		return nil, parts{}, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, parts{}, err
	}
	if err := w.Close(); err != nil {
		return nil, parts{}, err
	}
	_ = c.Quit() // the server has taken the mail
	return got, all, nil
}

var mailPage = template.Must(template.New("mail").Funcs(template.FuncMap{"mark": mark, "line": line, "span": span, "values": values}).Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<h1>{{.Title}}</h1>
{{range .Alerts}}<h2>{{.Name}} ({{mark .}})</h2>
<p>{{line .}}</p>
<p>{{span .}}{{with values .}} · {{.}}{{end}}</p>
{{with .Detail}}<pre>{{.}}</pre>
{{end}}{{if .URL}}<p><a href="{{.URL}}">page</a></p>
{{end}}{{if .Runbook}}<p><a href="{{.Runbook}}">runbook</a></p>
{{end}}{{end}}{{if .More}}<p>and {{.More}} more</p>
{{end}}</html>
`))

// mailSubject is the longest subject, in characters.
const mailSubject = 150

// compose writes the mail.
func (m *Mail) compose(n alert.Notification) ([]byte, error) {
	subject := alert.Cut(title(n), mailSubject, utf8.RuneCountInString)
	var to []string
	for _, a := range m.to {
		to = append(to, a.String())
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	thread := sha256.Sum256([]byte("thread " + n.Group))
	root := "<" + hex.EncodeToString(thread[:16]) + "@" + domain + ">"
	var b bytes.Buffer
	parts := multipart.NewWriter(&b)
	for _, h := range []struct{ name, value string }{
		{"From", m.from.String()}, {"To", strings.Join(to, ", ")}, {"Subject", mime.QEncoding.Encode("utf-8", subject)},
		{"Date", n.At.UTC().Format(time.RFC1123Z)}, {"Message-ID", "<" + n.Key + "@" + domain + ">"}, {"In-Reply-To", root}, {"References", root},
		{"Auto-Submitted", "auto-generated"}, {"MIME-Version", "1.0"}, {"Content-Type", `multipart/alternative; boundary="` + parts.Boundary() + `"`},
	} {
		if strings.ContainsAny(h.value, "\r\n") {
			return nil, rollout.Permanent(&Error{Receiver: "mail", Reason: "a line break in the header " + h.name})
		}
		fmt.Fprintf(&b, "%s: %s\r\n", h.name, h.value)
	}
	b.WriteString("\r\n")
	var page bytes.Buffer
	if err := mailPage.Execute(&page, struct {
		alert.Notification
		Title string
	}{n, title(n)}); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		kind string
		text []byte
	}{{"text/plain", []byte(whole(n))}, {"text/html", page.Bytes()}} {
		w, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {part.kind + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"}})
		if err != nil {
			return nil, err
		}
		q := quotedprintable.NewWriter(w)
		if _, err := q.Write(part.text); err != nil {
			return nil, err
		}
		if err := q.Close(); err != nil {
			return nil, err
		}
	}
	err := parts.Close()
	return b.Bytes(), err
}
