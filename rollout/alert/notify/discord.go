package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/serin-go/serin/rollout/alert"
)

// Discord posts to a webhook of Discord. It mentions no one, whatever a text says. Make one
// with [NewDiscord].
type Discord struct {
	client client
	url    Secret
}

// NewDiscord returns a notifier for the URL of a webhook. The error is a
// [*checks.InvalidError].
func NewDiscord(url Secret) (*Discord, error) {
	if err := address("Discord.url", url); err != nil {
		return nil, err
	}
	return &Discord{newClient("discord", []Secret{url}), url}, nil
}

// The limits of Discord, in UTF-16 units.
const (
	discordContent     = 2000
	discordTitle       = 256
	discordDescription = 4096
	discordAll         = 6000
	discordEmbeds      = 10
)

type discordMessage struct {
	Content  string          `json:"content"`
	Embeds   []discordEmbed  `json:"embeds,omitempty"`
	Mentions discordMentions `json:"allowed_mentions"`
}

type discordMentions struct {
	Parse []string `json:"parse"`
}

type discordEmbed struct {
	Title       string    `json:"title"`
	Description string    `json:"description,omitempty"`
	URL         string    `json:"url,omitempty"`
	Timestamp   time.Time `json:"timestamp"`
	Color       int       `json:"color"`
}

var discordEscape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `_`, `\_`, "`", "\\`", `~`, `\~`, `|`, `\|`, `>`, `\>`, `[`, `\[`, `]`, `\]`, `#`, `\#`)

// units is the size of a text that is escaped, in UTF-16 units.
func units(s string) int {
	n := 0
	for _, r := range discordEscape.Replace(s) {
		n += utf16.RuneLen(r)
	}
	return n
}

// cutEscaped cuts a text, and escapes it.
func cutEscaped(s string, n int) string { return discordEscape.Replace(alert.Cut(s, n, units)) }

// Notify implements [alert.Notifier].
func (d *Discord) Notify(ctx context.Context, n alert.Notification) error {
	body, err := json.Marshal(discordOf(n))
	if err != nil {
		return err
	}
	answer, err := d.client.post(ctx, d.url, http.Header{"Content-Type": {"application/json"}}, body)
	var asked *Error
	if errors.As(err, &asked) && asked.Status == http.StatusTooManyRequests {
		var wait struct {
			RetryAfter float64 `json:"retry_after"` // seconds
		}
		if json.Unmarshal(answer, &wait) == nil && wait.RetryAfter > 0 && wait.RetryAfter < 1e6 {
			asked.after = time.Duration(wait.RetryAfter * float64(time.Second))
		}
	}
	return err
}

// discordOf makes the message.
func discordOf(n alert.Notification) discordMessage {
	m := discordMessage{Content: cutEscaped(title(n), discordContent), Mentions: discordMentions{Parse: []string{}}}
	colors := map[alert.Severity]int{alert.Info: 0x808080, alert.Warning: 0xE8A317, alert.Error: 0xC0392B, alert.Critical: 0xFF0000}
	shown := n.Alerts[:min(len(n.Alerts), discordEmbeds)]
	for _, a := range shown {
		room := (discordAll - 200*len(shown)) / len(shown)
		text := line(a) + "\n" + strings.TrimSuffix(span(a)+" · "+values(a), " · ")
		if a.Runbook != "" {
			text += "\nrunbook: " + a.Runbook
		}
		e := discordEmbed{Title: cutEscaped(fmt.Sprintf("%s (%s)", a.Name, mark(a)), min(discordTitle, 150)), Description: cutEscaped(text, min(discordDescription, room)), URL: a.URL, Timestamp: a.Began.UTC(), Color: colors[a.Severity]}
		if !a.Ended.IsZero() {
			e.Color = 0x2ECC71
		}
		m.Embeds = append(m.Embeds, e)
	}
	if n.More > 0 {
		m.Content = cutEscaped(fmt.Sprintf("%s\nand %d more", title(n), n.More), discordContent)
	}
	return m
}
