package loadtest

import (
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// Recording is one stream as it arrived: its bytes, and how many of them had
// come by when.
type Recording struct {
	Body  []byte
	Reads []Read
	// Form is the form of Body. The zero value means that its first bytes show it.
	Form answer.Form
	// Truncated says that the stream was longer than what is kept.
	Truncated bool
}

// Read is one read of a stream: At is the instant since the request was sent,
// Size the number of bytes. A Size of 0 is the end of the stream.
type Read struct {
	At   time.Duration `json:"at_ns"`
	Size int           `json:"size"`
}

// maxRecording is how many bytes of a stream are kept.
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

// Text returns the content of the answer, without reasoning.
func (r Recording) Text() string { return answer.TextOf(answer.Route{}, r.Form, r.Body).Content }

// texts returns the text of each chunk that bears any: content, reasoning or a
// refusal.
func (r Recording) texts() (all []string) {
	for p := range answer.Parts(answer.Route{}, r.Form, r.Body) {
		if text := p.Content + p.Reasoning + p.Refusal; text != "" {
			all = append(all, text)
		}
	}
	return all
}
