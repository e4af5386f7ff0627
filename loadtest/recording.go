package loadtest

import (
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// Recording is an answer as it arrived: its bytes and the instants of its reads.
type Recording struct {
	Body  []byte
	Reads []Read
	// Form is the format of Body. If zero, it is detected from the first bytes.
	Form answer.Form
	// Truncated means that the answer is longer than 4 MiB and Body is incomplete.
	Truncated bool
}

// Read is one read of an answer: the time since the request was sent and the number of
// bytes. A Size of 0 is the end of the answer.
type Read struct {
	At   time.Duration `json:"at_ns"`
	Size int           `json:"size"`
}

// maxRecording is the largest length of Recording.Body in bytes.
const maxRecording = 4 << 20

func (r *Recording) add(p []byte, at time.Duration, err error) {
	if len(r.Body)+len(p) > maxRecording {
		r.Truncated = true
	}
	if !r.Truncated && len(p) > 0 {
		r.Body = append(r.Body, p...)
		r.Reads = append(r.Reads, Read{at, len(p)})
	}
	if err != nil {
		r.Reads = append(r.Reads, Read{At: at})
	}
}

// Text returns the content of the answer without reasoning.
func (r Recording) Text() string { return answer.TextOf(answer.Route{}, r.Form, r.Body).Content }

// texts returns the text of each chunk with content, reasoning or a refusal.
func (r Recording) texts() (all []string) {
	for p := range answer.Parts(answer.Route{}, r.Form, r.Body) {
		if text := p.Content + p.Reasoning + p.Refusal; text != "" {
			all = append(all, text)
		}
	}
	return all
}
