package notify

import (
	"errors"
	"log/slog"

	"github.com/serin-go/serin/rollout/alert"
)

// Receivers is the configuration of receivers that a service takes from its environment.
type Receivers struct {
	// Slack is the URL of an incoming webhook. Empty means none.
	Slack Secret `env:"SLACK"`
	// Alertmanager are the URLs of all instances. Empty means none.
	Alertmanager []Secret `env:"ALERTMANAGER"`
}

// Notifiers returns the receivers that are set, "slack" and "alertmanager", and "log", which
// writes to l. Errors are [*checks.InvalidError] values, joined.
func (r Receivers) Notifiers(l *slog.Logger) (map[string]alert.Notifier, error) {
	all := map[string]alert.Notifier{"log": Log(l)}
	var errs []error
	if r.Slack != "" {
		s, err := NewSlack(r.Slack)
		if err == nil {
			all["slack"] = s
		}
		errs = append(errs, err)
	}
	if len(r.Alertmanager) > 0 {
		m, err := NewAlertmanager(r.Alertmanager...)
		if err == nil {
			all["alertmanager"] = m
		}
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}
