package notify

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/rollout"
)

// postOffice is an SMTP server without TLS that says what a test wants.
type postOffice struct {
	addr   string
	mu     sync.Mutex
	mails  []string
	said   []string
	answer map[string]string // in place of the usual one, by verb
}

func openPostOffice(t *testing.T) *postOffice {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &postOffice{addr: l.Addr().String(), answer: make(map[string]string)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.talk(c)
		}
	}()
	return p
}

func (p *postOffice) talk(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	fmt.Fprint(c, "220 office\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(strings.Fields(line + " x")[0])
		p.mu.Lock()
		p.said = append(p.said, strings.TrimSpace(line))
		answer := cmp.Or(p.answer[strings.TrimSpace(line)], p.answer[verb])
		p.mu.Unlock()
		switch {
		case answer != "":
			fmt.Fprint(c, answer+"\r\n")
		case verb == "EHLO":
			fmt.Fprint(c, "250-office\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n")
		case verb == "DATA":
			fmt.Fprint(c, "354 go on\r\n")
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			p.mu.Lock()
			p.mails = append(p.mails, b.String())
			p.mu.Unlock()
			fmt.Fprint(c, "250 taken\r\n")
		case verb == "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 ok\r\n")
		}
	}
}

func (p *postOffice) options() MailOptions {
	return MailOptions{Server: p.addr, From: "Rollouts <rollouts@example.com>", To: []string{"ana@example.com", "Ben <ben@example.com>"}}
}

func TestMail(t *testing.T) {
	p := openPostOffice(t)
	m := must(NewMail(p.options()))
	n := held()
	n.Group = "target=chat\r\nBcc: eve@example.com"
	n.Alerts[0].Summary = "held\r\nBcc: eve@example.com\r\n\r\n<script>alert(1)</script> é"
	if err := m.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	got, err := mail.ReadMessage(strings.NewReader(p.mails[0]))
	if err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("Bcc") != "" || len(got.Header) != 10 {
		t.Errorf("%d headers: %v", len(got.Header), got.Header)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || !strings.HasPrefix(subject, "WARNING RolloutHeld") || len([]rune(subject)) > 150 {
		t.Errorf("%q, %v", subject, err)
	}
	if id := got.Header.Get("Message-ID"); id != "<"+n.Key+"@example.com>" || got.Header.Get("References") == "" {
		t.Errorf("%q, %v", id, got.Header)
	}
	_, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(got.Body, params["boundary"])
	var texts []string
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			break
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	if len(texts) != 2 || !strings.Contains(texts[0], "RolloutHeld") || strings.Contains(texts[1], "<script>") || !strings.Contains(texts[1], "&lt;script&gt;") {
		t.Errorf("%q", texts)
	}
	// The end of the alert is in the same thread.
	if err := m.Notify(t.Context(), resolved(n)); err != nil {
		t.Fatal(err)
	}
	second, err := mail.ReadMessage(strings.NewReader(p.mails[1]))
	if err != nil || second.Header.Get("References") != got.Header.Get("References") {
		t.Errorf("%v, %v", second.Header, err)
	}
}

func TestMailAnswers(t *testing.T) {
	for answer, permanent := range map[string]bool{"450 busy": false, "421 going down": false, "550 no such user": true, "554 refused": true} {
		p := openPostOffice(t)
		p.answer["RCPT"] = answer
		if err := must(NewMail(p.options())).Notify(t.Context(), held()); err == nil || rollout.IsPermanent(err) != permanent {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// A password is never sent without TLS, and another host is not used without it.
func TestMailWithoutTLS(t *testing.T) {
	p := openPostOffice(t)
	o := p.options()
	o.User, o.Password = "ana", "hidden"
	if err := must(NewMail(o)).Notify(t.Context(), held()); !rollout.IsPermanent(err) || strings.Contains(err.Error(), "hidden") {
		t.Error(err)
	}
	m := must(NewMail(p.options()))
	m.host = "mail.example.com" // as if it were another one
	if err := m.Notify(t.Context(), held()); !rollout.IsPermanent(err) {
		t.Error(err)
	}
	for _, line := range p.said {
		if !strings.HasPrefix(line, "EHLO") {
			t.Errorf("said %q", line)
		}
	}
}
