package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/serin-go/serin/rollout/alert"
)

// Slack posts to an incoming webhook of Slack. Make one with [NewSlack].
type Slack struct {
	client client
	url    Secret
}

// NewSlack returns a notifier for the URL of an incoming webhook. The error is a
// [*checks.InvalidError].
func NewSlack(url Secret) (*Slack, error) {
	if err := address("Slack.url", url); err != nil {
		return nil, err
	}
	return &Slack{newClient("slack", []Secret{url}), url}, nil
}

// The limits of Slack, in characters.
const (
	slackHeader  = 150
	slackSection = 3000
	slackBlocks  = 50
	slackText    = 4000
)

type slackMessage struct {
	Text   string       `json:"text"`
	Blocks []slackBlock `json:"blocks,omitempty"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackPart  `json:"text,omitempty"`
	Elements []slackPart `json:"elements,omitempty"`
}

type slackPart struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Notify implements [alert.Notifier]. If Slack refuses the blocks, the message is sent once
// more as plain text.
func (s *Slack) Notify(ctx context.Context, n alert.Notification) error {
	m := slackOf(n)
	err := s.post(ctx, m)
	var answered *Error
	if errors.As(err, &answered) && answered.Status == http.StatusBadRequest && strings.Contains(answered.Reason, "invalid_blocks") {
		plain := slackEscape.Replace(alert.Cut(title(n)+"\n"+whole(n), slackText/2, utf8.RuneCountInString))
		return s.post(ctx, slackMessage{Text: plain})
	}
	return err
}

func (s *Slack) post(ctx context.Context, m slackMessage) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = s.client.post(ctx, s.url, http.Header{"Content-Type": {"application/json"}}, body)
	return err
}

// slackSize is the size of a text when it is escaped.
func slackSize(s string) int { return utf8.RuneCountInString(slackEscape.Replace(s)) }

// mrkdwn escapes a text that is cut to n characters.
func mrkdwn(s string, n int) string { return slackEscape.Replace(alert.Cut(s, n, slackSize)) }

// slackOf makes the message.
func slackOf(n alert.Notification) slackMessage {
	head := title(n)
	m := slackMessage{Text: mrkdwn(head, slackText)}
	m.Blocks = append(m.Blocks, slackBlock{Type: "header", Text: &slackPart{"plain_text", alert.Cut(head, slackHeader, utf8.RuneCountInString)}})
	for _, a := range n.Alerts {
		if len(m.Blocks)+2 > slackBlocks-1 {
			break
		}
		text := "*" + slackEscape.Replace(a.Name) + "* (" + mark(a) + ")\n"
		text += mrkdwn(line(a), 1500)
		if a.Detail != "" && a.Ended.IsZero() {
			text += "\n```" + mrkdwn(strings.ReplaceAll(a.Detail, "```", "'''"), 1000) + "```"
		}
		m.Blocks = append(m.Blocks, slackBlock{Type: "section", Text: &slackPart{"mrkdwn", text}})
		foot := mrkdwn(span(a), 200)
		if v := values(a); v != "" {
			foot += " · " + mrkdwn(v, 1000)
		}
		for _, l := range []struct{ name, url string }{{"page", a.URL}, {"runbook", a.Runbook}} {
			if l.url != "" && len(l.url) < 700 && !strings.ContainsAny(l.url, "|>") {
				foot += " · <" + slackEscape.Replace(l.url) + "|" + l.name + ">"
			}
		}
		m.Blocks = append(m.Blocks, slackBlock{Type: "context", Elements: []slackPart{{"mrkdwn", foot}}})
	}
	if n.More > 0 {
		m.Blocks = append(m.Blocks, slackBlock{Type: "section", Text: &slackPart{"mrkdwn", fmt.Sprintf("and %d more", n.More)}})
	}
	return m
}
