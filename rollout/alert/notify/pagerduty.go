package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/serin-go/serin/rollout/alert"
)

// PagerDutyOptions configure a [PagerDuty].
type PagerDutyOptions struct {
	// Key is the integration key of a service, of the Events API version 2. It is required.
	Key Secret `env:"KEY"`
	// URL is the address of the API. Default https://events.pagerduty.com.
	URL Secret `env:"URL"`
	// Source names the system that is affected. Default "serin".
	Source string `env:"SOURCE"`
}

// PagerDuty opens and resolves incidents, one for each alert. Alerts of severity Info are
// change events, which do not page. Every end resolves by the key of the alert, since one of Info
// may have been worse. Make one with [NewPagerDuty].
type PagerDuty struct {
	client client
	o      PagerDutyOptions
}

// NewPagerDuty returns a notifier. The error is a [*checks.InvalidError].
func NewPagerDuty(o PagerDutyOptions) (*PagerDuty, error) {
	if o.Key == "" {
		return nil, invalid("PagerDutyOptions.Key", "empty", "an integration key")
	}
	if o.URL == "" {
		o.URL = "https://events.pagerduty.com"
	}
	if o.Source == "" {
		o.Source = "serin"
	}
	if err := address("PagerDutyOptions.URL", o.URL); err != nil {
		return nil, err
	}
	return &PagerDuty{newClient("pagerduty", []Secret{o.URL}, string(o.Key)), o}, nil
}

// The limits of PagerDuty.
const (
	pagerSummary = 1024 // characters
	pagerEvent   = 512 << 10
)

type pagerEventBody struct {
	RoutingKey string        `json:"routing_key"`
	Action     string        `json:"event_action,omitempty"`
	DedupKey   string        `json:"dedup_key,omitempty"`
	Client     string        `json:"client,omitempty"`
	ClientURL  string        `json:"client_url,omitempty"`
	Links      []pagerLink   `json:"links,omitempty"`
	Payload    *pagerPayload `json:"payload,omitempty"`
}

type pagerLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

type pagerPayload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity,omitempty"`
	Timestamp time.Time         `json:"timestamp"`
	Component string            `json:"component,omitempty"`
	Group     string            `json:"group,omitempty"`
	Class     string            `json:"class,omitempty"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

// Notify implements [alert.Notifier]. Each alert is tried, whether others are refused or not. A
// test is accepted and resolved immediately.
func (p *PagerDuty) Notify(ctx context.Context, n alert.Notification) error {
	var all parts
	for i, a := range n.Alerts {
		more := 0
		if i == 0 {
			more = n.More
		}
		err := p.send(ctx, a, n.Test, more)
		if err == nil && n.Test {
			a.Ended = n.At
			err = p.send(ctx, a, true, 0)
		}
		all.add(a.Key(), err)
	}
	return all.err()
}

func (p *PagerDuty) send(ctx context.Context, a alert.Alert, test bool, more int) error {
	path := "/v2/enqueue"
	body := pagerEventBody{RoutingKey: string(p.o.Key), Client: "Serin", ClientURL: a.URL}
	for _, l := range []pagerLink{{a.Runbook, "runbook"}, {a.URL, "page"}} {
		if l.Href != "" {
			body.Links = append(body.Links, l)
		}
	}
	change := a.Severity == alert.Info && a.Ended.IsZero() && !test
	switch {
	case change:
		path = "/v2/change/enqueue"
		body.Client, body.ClientURL = "", ""
	case !a.Ended.IsZero():
		body.Action, body.DedupKey, body.Links, body.Client, body.ClientURL = "resolve", a.Key(), nil, "", ""
	default:
		body.Action, body.DedupKey = "trigger", a.Key()
	}
	if body.Action != "resolve" {
		body.Payload = p.payload(a, test, more)
		if change {
			body.Payload.Severity, body.Payload.Class, body.Payload.Component, body.Payload.Group = "", "", "", ""
		}
	}
	data, err := json.Marshal(body)
	if err == nil && len(data) > pagerEvent && body.Payload != nil {
		body.Payload.Details = map[string]string{"cut": "the details are too large; see the links"}
		data, err = json.Marshal(body)
	}
	if err != nil {
		return err
	}
	_, err = p.client.post(ctx, Secret(string(p.o.URL)+path), http.Header{"Content-Type": {"application/json"}}, data)
	return err
}

func (p *PagerDuty) payload(a alert.Alert, test bool, more int) *pagerPayload {
	text := line(a)
	if more > 0 {
		text += fmt.Sprintf(" (and %d more alerts)", more)
	}
	out := &pagerPayload{Summary: alert.Cut(text, pagerSummary, utf8.RuneCountInString), Source: p.o.Source, Severity: a.Severity.String(), Timestamp: a.Began.UTC(),
		Component: a.Labels["target"], Group: a.Labels["rollout"], Class: a.Name, Details: make(map[string]string)}
	if test {
		out.Class = "test"
	}
	for name, value := range a.Labels {
		out.Details[name] = value
	}
	for name, value := range a.Values {
		out.Details[name] = value
	}
	if a.Detail != "" {
		out.Details["detail"] = a.Detail
	}
	return out
}
