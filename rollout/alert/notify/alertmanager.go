package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
)

// Alertmanager posts to Prometheus Alertmanagers, API version 2. Make one with
// [NewAlertmanager].
type Alertmanager struct {
	client    client
	instances []Secret
}

const (
	resend = time.Minute // of the manager of alerts
	// holds is how long an Alertmanager believes an alert that is not repeated.
	holds = max(3*resend, 5*time.Minute)
)

// NewAlertmanager returns a notifier for all instances of a cluster, 1 to 10 URLs such as
// "http://alertmanager-0:9093". Each instance gets every alert, since the instances exchange
// only what they have notified; do not give the address of a load balancer. A message
// has arrived when one instance has taken it. The error is a [*checks.InvalidError].
func NewAlertmanager(instances ...Secret) (*Alertmanager, error) {
	if len(instances) == 0 || len(instances) > 10 {
		return nil, invalid("Alertmanager.instances", len(instances), "1 to 10 URLs")
	}
	for i, at := range instances {
		if err := address(fmt.Sprintf("Alertmanager.instances[%d]", i), at); err != nil {
			return nil, err
		}
	}
	a := &Alertmanager{client: newClient("alertmanager", instances)}
	for _, at := range instances {
		a.instances = append(a.instances, Secret(strings.TrimSuffix(string(at), "/")))
	}
	return a, nil
}

// postableAlert is an alert of the API.
type postableAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

func postable(a alert.Alert, test bool, at time.Time) postableAlert {
	p := postableAlert{Labels: map[string]string{"alertname": a.Name, "severity": a.Severity.String()}, Annotations: make(map[string]string), StartsAt: a.Began.UTC(), EndsAt: at.Add(holds).UTC(), GeneratorURL: a.URL}
	for name, value := range a.Labels {
		if value != "" {
			p.Labels[name] = value
		}
	}
	if test {
		p.Labels["test"] = "true"
	}
	for name, value := range map[string]string{"summary": line(a), "description": a.Detail, "runbook_url": a.Runbook, "values": values(a)} {
		if value != "" {
			p.Annotations[name] = value
		}
	}
	if !a.Ended.IsZero() {
		p.EndsAt = a.Ended.UTC()
		if !p.EndsAt.After(p.StartsAt) {
			p.EndsAt = p.StartsAt.Add(time.Millisecond) // an alert must have a length
		}
	}
	return p
}

// Notify implements [alert.Notifier].
func (m *Alertmanager) Notify(ctx context.Context, n alert.Notification) error {
	return m.send(ctx, n.Alerts, n.Test)
}

// Refresh implements [alert.Refresher].
func (m *Alertmanager) Refresh(ctx context.Context, alerts []alert.Alert) error {
	for len(alerts) > 0 {
		part := alerts[:min(len(alerts), 200)]
		if err := m.send(ctx, part, false); err != nil {
			return err
		}
		alerts = alerts[len(part):]
	}
	return nil
}

// send posts alerts to all instances together.
func (m *Alertmanager) send(ctx context.Context, alerts []alert.Alert, test bool) error {
	list := make([]postableAlert, 0, len(alerts))
	now := time.Now()
	for _, a := range alerts {
		list = append(list, postable(a, test, now))
	}
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	errs := make([]error, len(m.instances))
	var wg sync.WaitGroup
	for i, at := range m.instances {
		wg.Go(func() {
			_, errs[i] = m.client.post(ctx, at+"/api/v2/alerts", http.Header{"Content-Type": {"application/json"}}, body)
		})
	}
	wg.Wait()
	lasting := false
	for _, err := range errs {
		if err == nil {
			return nil
		}
		lasting = lasting || !rollout.IsPermanent(err)
	}
	err = errors.Join(errs...)
	if lasting { // one of them may take it later
		return &Error{Receiver: "alertmanager", Reason: err.Error()}
	}
	return err
}

// Confirmed implements [alert.Confirmer]. It asks each instance whether it has the alert.
func (m *Alertmanager) Confirmed(ctx context.Context, n alert.Notification) (bool, error) {
	if len(n.Alerts) == 0 {
		return false, nil
	}
	query := url.Values{}
	a := n.Alerts[0]
	query.Add("filter", fmt.Sprintf("alertname=%q", a.Name))
	for name, value := range a.Labels {
		query.Add("filter", fmt.Sprintf("%s=%q", name, value))
	}
	var errs []error
	for _, at := range m.instances {
		answer, err := m.client.do(ctx, http.MethodGet, at+"/api/v2/alerts?"+Secret(query.Encode()), nil, nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var found []json.RawMessage
		if err := json.Unmarshal(answer, &found); err != nil {
			errs = append(errs, &Error{Receiver: "alertmanager", Reason: "the answer is not a list of alerts"})
			continue
		}
		if len(found) > 0 {
			return true, nil
		}
	}
	return false, errors.Join(errs...)
}
