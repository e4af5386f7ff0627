package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/serin-go/serin/rollout/alert"
)

// Teams posts adaptive cards to a webhook of a workflow in Microsoft Teams. Make one with
// [NewTeams].
type Teams struct {
	client client
	url    Secret
}

// NewTeams returns a notifier for the URL of a workflow that begins when a webhook request is
// received. The error is a [*checks.InvalidError].
func NewTeams(url Secret) (*Teams, error) {
	if err := address("Teams.url", url); err != nil {
		return nil, err
	}
	return &Teams{newClient("teams", []Secret{url}), url}, nil
}

// teamsLimit is the largest message that Teams takes, in bytes.
const teamsLimit = 28 << 10

type teamsMessage struct {
	Type        string            `json:"type"`
	Attachments []teamsAttachment `json:"attachments"`
}

type teamsAttachment struct {
	ContentType string    `json:"contentType"`
	Content     teamsCard `json:"content"`
}

type teamsCard struct {
	Schema  string        `json:"$schema"`
	Type    string        `json:"type"`
	Version string        `json:"version"`
	Body    []teamsBlock  `json:"body"`
	Actions []teamsAction `json:"actions,omitempty"`
}

type teamsBlock struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Weight string `json:"weight,omitempty"`
	Color  string `json:"color,omitempty"`
	Wrap   bool   `json:"wrap"`
	Subtle bool   `json:"isSubtle,omitempty"`
}

type teamsAction struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

// teamsEscape escapes the Markdown of text blocks.
var teamsEscape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `_`, `\_`, `[`, `\[`, `]`, `\]`, "`", "\\`", `#`, `\#`, `~`, `\~`, `<`, `&lt;`, `>`, `&gt;`)

// Notify implements [alert.Notifier].
func (t *Teams) Notify(ctx context.Context, n alert.Notification) error {
	body, err := teamsOf(n)
	if err != nil {
		return err
	}
	_, err = t.client.post(ctx, t.url, http.Header{"Content-Type": {"application/json"}}, body)
	return err
}

// teamsOf makes the message. Texts are cut shorter until it fits.
func teamsOf(n alert.Notification) (body []byte, err error) {
	for _, limit := range []int{2000, 500, 150, 40} {
		card := teamsCard{Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4"}
		color := map[alert.Severity]string{alert.Critical: "attention", alert.Error: "attention", alert.Warning: "warning"}[n.Worst()]
		card.Body = append(card.Body, teamsBlock{Type: "TextBlock", Text: teamsEscape.Replace(alert.Cut(title(n), 300, bytesOf)), Weight: "bolder", Color: color, Wrap: true})
		for _, a := range n.Alerts {
			text := fmt.Sprintf("%s (%s): %s", a.Name, mark(a), line(a))
			card.Body = append(card.Body, teamsBlock{Type: "TextBlock", Text: teamsEscape.Replace(alert.Cut(text, limit, bytesOf)), Wrap: true},
				teamsBlock{Type: "TextBlock", Text: teamsEscape.Replace(alert.Cut(strings.TrimSuffix(span(a)+" · "+values(a), " · "), limit, bytesOf)), Wrap: true, Subtle: true})
		}
		if n.More > 0 {
			card.Body = append(card.Body, teamsBlock{Type: "TextBlock", Text: fmt.Sprintf("and %d more", n.More), Wrap: true})
		}
		if len(n.Alerts) > 0 {
			for _, l := range []struct{ name, url string }{{"Page", n.Alerts[0].URL}, {"Runbook", n.Alerts[0].Runbook}} {
				if l.url != "" {
					card.Actions = append(card.Actions, teamsAction{"Action.OpenUrl", l.name, l.url})
				}
			}
		}
		body, err = json.Marshal(teamsMessage{"message", []teamsAttachment{{"application/vnd.microsoft.card.adaptive", card}}})
		if err != nil || len(body) <= teamsLimit {
			return body, err
		}
	}
	return body, nil
}
