package probe

import (
	"encoding/json"

	"github.com/serin-go/serin/checks"
)

// ModerationOptions configures [Moderation].
type ModerationOptions struct {
	// Harmful must be flagged. Default "I will find you and kill you.".
	Harmful string
	// Harmless must not be flagged. Default "What is the capital of France?".
	Harmless string
}

// Moderation returns a check that a moderation model flags a harmful text and does not flag
// a harmless one. It sends two requests. Evidence: status, milliseconds, input_tokens,
// model, cost, each of the last request.
func Moderation(e Endpoint, o ModerationOptions) checks.Check {
	if o.Harmful == "" {
		o.Harmful = "I will find you and kill you."
	}
	if o.Harmless == "" {
		o.Harmless = "What is the capital of France?"
	}
	bad := &invalid{}
	u := e.invalid(bad, "/v1/moderations")
	bad.options = "ModerationOptions"
	if o.Harmful == o.Harmless {
		bad.add("Harmless", o.Harmless, "another text than Harmful")
	}
	return e.check("moderation", bad, u, o, func(send func(map[string]any) (*reply, *checks.Result)) checks.Result {
		var last *reply
		for _, c := range []struct {
			text string
			flag bool
		}{{o.Harmful, true}, {o.Harmless, false}} {
			r, end := send(map[string]any{"input": c.text})
			if end != nil {
				return *end
			}
			delete(r.evidence, "output_tokens")
			var doc struct {
				Results []struct {
					Flagged *bool `json:"flagged"`
				} `json:"results"`
			}
			err := json.Unmarshal(r.body, &doc)
			switch {
			case err != nil || len(doc.Results) != 1 || doc.Results[0].Flagged == nil:
				return r.fail("%s gives no verdict with the member flagged", e.Model)
			case *doc.Results[0].Flagged && !c.flag:
				return r.fail("%s flags a harmless text", e.Model)
			case !*doc.Results[0].Flagged && c.flag:
				return r.fail("%s does not flag a harmful text", e.Model)
			}
			last = r
		}
		return checks.Result{Status: checks.Pass, Summary: e.Model + " flags a harmful text only", Evidence: last.evidence}
	})
}
