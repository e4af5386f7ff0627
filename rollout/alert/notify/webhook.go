package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
)

// WebhookOptions configure a [Webhook]. URL and Secrets are required.
type WebhookOptions struct {
	URL Secret `env:"URL"`
	// Secrets sign the requests: 1 to 5, each "whsec_" and the base64 of 16 to 64 bytes. Each
	// request has a signature of every one, so that secrets can be changed.
	Secrets []Secret `env:"SECRETS"`
}

// Webhook posts notifications as JSON, signed as Standard Webhooks 1.0 says: the header
// webhook-id is the key of the notification, webhook-timestamp is the time of the attempt, and
// webhook-signature is the HMAC-SHA-256 of both and the body. Receivers verify it with
// [VerifyWebhook]. After an answer 410 nothing is sent any more, and every message is a
// permanent error, so that there is an alert about it. Make one with [NewWebhook].
type Webhook struct {
	client  client
	url     Secret
	secrets [][]byte

	mu       sync.Mutex
	gone     bool
	answered map[string]bool // tests whose id was in the answer
}

// NewWebhook returns a notifier. The error is a [*checks.InvalidError].
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	if err := address("WebhookOptions.URL", o.URL); err != nil {
		return nil, err
	}
	if len(o.Secrets) == 0 || len(o.Secrets) > 5 {
		return nil, invalid("WebhookOptions.Secrets", len(o.Secrets), "1 to 5 secrets")
	}
	var secrets []string
	for _, s := range o.Secrets {
		secrets = append(secrets, string(s), strings.TrimPrefix(string(s), "whsec_"))
	}
	w := &Webhook{client: newClient("webhook", []Secret{o.URL}, secrets...), url: o.URL, answered: make(map[string]bool)}
	for i, s := range o.Secrets {
		key, err := webhookKey(s)
		if err != nil {
			return nil, invalid(fmt.Sprintf("WebhookOptions.Secrets[%d]", i), "(not shown)", `"whsec_" and the base64 of 16 to 64 bytes`)
		}
		w.secrets = append(w.secrets, key)
	}
	return w, nil
}

func webhookKey(s Secret) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(s), "whsec_"))
	if err != nil || len(key) < 16 || len(key) > 64 {
		return nil, errors.New("notify: secret: want the base64 of 16 to 64 bytes")
	}
	return key, nil
}

// sign returns a signature of Standard Webhooks.
func sign(key []byte, id, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s.%s.", id, timestamp)
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Notify implements [alert.Notifier]. The body is the notification.
func (w *Webhook) Notify(ctx context.Context, n alert.Notification) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	answer, err := w.post(ctx, n.Key, http.Header{"Content-Type": {"application/json"}}, body)
	if err == nil && n.Test && bytes.Contains(answer, []byte(n.Key)) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.answered) >= 100 {
			clear(w.answered)
		}
		w.answered[n.Key] = true
	}
	return err
}

// Confirmed implements [alert.Confirmer]: a receiver confirms a test by an answer with its key.
func (w *Webhook) Confirmed(_ context.Context, n alert.Notification) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answered[n.Key], nil
}

// Sink returns a [rollout.Sink] that posts the events themselves. The header webhook-id is the
// key of the event.
func (w *Webhook) Sink() rollout.Sink {
	return rollout.SinkFunc(func(ctx context.Context, e rollout.Event) error {
		body, err := json.Marshal(e)
		if err != nil {
			return rollout.Permanent(err)
		}
		_, err = w.post(ctx, e.Key(), http.Header{"Content-Type": {"application/json"}}, body)
		return err
	})
}

func (w *Webhook) post(ctx context.Context, id string, header http.Header, body []byte) ([]byte, error) {
	w.mu.Lock()
	gone := w.gone
	w.mu.Unlock()
	if gone {
		return nil, rollout.Permanent(&Error{Receiver: "webhook", Status: http.StatusGone, Reason: "switched off, since it has answered 410"})
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	var signatures []string
	for _, key := range w.secrets {
		signatures = append(signatures, sign(key, id, at, body))
	}
	// The names are in lower case in the standard; HTTP does not distinguish them.
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", at)
	header.Set("webhook-signature", strings.Join(signatures, " "))
	answer, err := w.client.post(ctx, w.url, header, body)
	var answered *Error
	if errors.As(err, &answered) && answered.Status == http.StatusGone {
		w.mu.Lock()
		w.gone = true
		w.mu.Unlock()
	}
	return answer, err
}

// webhookTolerance is how far the time of a request may be from now.
const webhookTolerance = 5 * time.Minute

// ErrSignature means that a request is not signed by one of the secrets.
var ErrSignature = errors.New("notify: webhook: the signature does not verify")

// VerifyWebhook verifies a request of a [Webhook], given its headers and the bytes of its body,
// by any of up to 10 secrets, in constant time. It returns the header webhook-id, by which the
// caller removes repetitions. The time of the request is at most 5 min from now. The error
// wraps [ErrSignature], except for a secret that is not valid.
func VerifyWebhook(header http.Header, body []byte, now time.Time, secrets ...Secret) (id string, err error) {
	id, at := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if id == "" || len(id) > 512 || err != nil || strconv.FormatInt(seconds, 10) != at {
		return "", fmt.Errorf("%w: no webhook-id, or no webhook-timestamp", ErrSignature)
	}
	if d := now.Sub(time.Unix(seconds, 0)); d > webhookTolerance || d < -webhookTolerance {
		return "", fmt.Errorf("%w: its time is %v away", ErrSignature, d.Round(time.Second))
	}
	good := false
	for _, s := range secrets[:min(len(secrets), 10)] {
		key, err := webhookKey(s)
		if err != nil {
			return "", err
		}
		want := []byte(sign(key, id, at, body))
		for i, have := range strings.Fields(header.Get("webhook-signature")) {
			if i >= 20 {
				break
			}
			good = hmac.Equal(want, []byte(have)) || good
		}
	}
	if !good {
		return "", fmt.Errorf("%w: no secret has made it", ErrSignature)
	}
	return id, nil
}

// CloudEventsOptions configure [CloudEvents].
type CloudEventsOptions struct {
	// URL receives the events. It is required.
	URL Secret `env:"URL"`
	// Binary puts the attributes into headers, and the event alone into the body.
	Binary bool `env:"BINARY"`
	// Header is added to each request, such as Authorization.
	Header http.Header `env:", noinit"`
}

// cloudEvent is an event in the structured mode of CloudEvents 1.0.
type cloudEvent struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject"`
	Time        string          `json:"time"`
	ContentType string          `json:"datacontenttype"`
	Data        json.RawMessage `json:"data"`
}

// CloudEvents returns a [rollout.Sink] that posts events as CloudEvents 1.0 (binding for HTTP
// 1.0.2). The id is the key of the event, the source /serin/TARGET, the type
// com.github.serin-go.rollout.KIND with '-' for blanks, the subject the rollout, and the data
// the event as JSON. The error is a [*checks.InvalidError].
func CloudEvents(o CloudEventsOptions) (rollout.Sink, error) {
	if err := address("CloudEventsOptions.URL", o.URL); err != nil {
		return nil, err
	}
	var secrets []string
	for _, values := range o.Header {
		for _, v := range values {
			secrets = append(append(secrets, v), strings.Fields(v)...)
		}
	}
	c := newClient("cloudevents", []Secret{o.URL}, secrets...)
	o.Header = o.Header.Clone()
	return rollout.SinkFunc(func(ctx context.Context, e rollout.Event) error {
		data, err := json.Marshal(e)
		if err != nil {
			return rollout.Permanent(err)
		}
		ce := cloudEvent{"1.0", e.Key(), "/serin/" + e.Rollout.Target(), "com.github.serin-go.rollout." + cmp.Or(strings.ReplaceAll(string(e.Kind), " ", "-"), "unknown"), string(e.Rollout), e.At.UTC().Format(time.RFC3339Nano), "application/json", data}
		header := o.Header.Clone()
		if header == nil {
			header = make(http.Header)
		}
		if o.Binary {
			header.Set("Content-Type", ce.ContentType)
			for name, value := range map[string]string{"specversion": ce.SpecVersion, "id": ce.ID, "source": ce.Source, "type": ce.Type, "subject": ce.Subject, "time": ce.Time} {
				header.Set("ce-"+name, value)
			}
			_, err = c.post(ctx, o.URL, header, data)
			return err
		}
		header.Set("Content-Type", "application/cloudevents+json")
		body, err := json.Marshal(ce)
		if err != nil {
			return rollout.Permanent(err)
		}
		_, err = c.post(ctx, o.URL, header, body)
		return err
	}), nil
}
