package loadtest

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// Recording is an answer as it arrived: its bytes and the instants of its reads.
type Recording struct {
	Body  []byte `json:"body,omitempty"`
	Reads []Read `json:"reads,omitempty"`
	// Form is the format of Body. If zero, it is detected from the first bytes.
	Form answer.Form `json:"form,omitempty"`
	// Truncated means that the answer is longer than 4 MiB, or has more than 100,000
	// reads, and Body is incomplete.
	Truncated bool `json:"truncated,omitempty"`
}

// Read is one read of an answer: the time since the request was sent and the number of
// bytes. A Size of 0 is the end of the answer.
type Read struct {
	At   time.Duration `json:"at_ns"`
	Size int           `json:"size"`
}

// maxRecording is the largest length of Recording.Body in bytes, maxReads the largest
// number of its reads. With both, a line of a file of results stays below maxLine.
const (
	maxRecording = 4 << 20
	maxReads     = 100_000
)

func (r *Recording) add(p []byte, at time.Duration, err error) {
	if len(r.Body)+len(p) > maxRecording || len(r.Reads) >= maxReads {
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

// validate returns an error if the reads of r, which may be nil, do not make its body.
func (r *Recording) validate() error {
	if r == nil {
		return nil
	}
	total, at := 0, time.Duration(0)
	for _, read := range r.Reads {
		if read.Size < 0 || read.At < at {
			return fmt.Errorf("recording: a read of %d bytes at %v, want at least 0 bytes and instants in ascending order", read.Size, read.At)
		}
		total, at = total+read.Size, read.At
	}
	if total != len(r.Body) {
		return fmt.Errorf("recording: reads of %d bytes for a body of %d, want as many", total, len(r.Body))
	}
	return nil
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
