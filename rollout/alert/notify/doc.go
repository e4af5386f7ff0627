// Package notify sends alerts to receivers: Prometheus Alertmanager, PagerDuty, Slack,
// Microsoft Teams, Discord, mail, signed webhooks and logs; and events of rollouts as
// CloudEvents.
//
//	slack, err := notify.NewSlack(notify.Secret(os.Getenv("SLACK_WEBHOOK")))
//	...
//	manager, err := alert.New(alert.Config{Store: store, Receivers: map[string]alert.Notifier{"slack": slack}})
//
// # What all have in common
//
// Each notifier has an HTTP client of its own: 10 s, TLS 1.2 or later, the proxy of the
// environment, no redirects. Up to 64 KiB of an answer are read. Answers 408, 425, 429 and 5xx
// and errors of the network are tried again, when Retry-After says if it is there; other
// answers are permanent errors (see [rollout.Permanent]).
//
// URLs and keys are a [Secret]: they appear in no error, log or dead letter. Texts are escaped
// for their format and cut to the limits of the receiver at a rune; what is cut is behind the
// link.
//
// This package uses only the standard library.
package notify
