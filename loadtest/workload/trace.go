package workload

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/internal/units"
	"github.com/serin-go/serin/loadtest/pace"
)

// arrival is one request of a trace: its instant and its numbers of tokens.
type arrival struct {
	At     time.Duration `json:"at_ns"`
	Input  int           `json:"input"`
	Output int           `json:"output"`
	// Prompt is zero if the trace has none. Then a prompt of Input tokens is
	// generated.
	Prompt Prompt `json:"prompt,omitzero"`
	// Blocks are the prefix blocks of a prompt to generate, by their IDs. Prompts that
	// begin with the same blocks begin with the same text. If nil, prompts share
	// nothing.
	Blocks []int64 `json:"hash_ids,omitempty"`
	// Session is the identity of the conversation, or empty.
	Session string `json:"session,omitempty"`
}

// Trace is a recording of production traffic. For a replay it is both the
// [pace.Pacer] and the [Workload] of a plan. Make one by [ReadTrace].
type Trace struct {
	arrivals []arrival
	links    map[int]*link // by index of the arrival, if it has a session
	round    string        // before the number of a repetition, in no recorded session ID
	seed     uint64
	failed   int // recorded as failed, and left out
	sizer    *sizer
}

var _ pace.Pacer = (*Trace)(nil)

// TraceOptions set the speed and the part of a trace to replay.
type TraceOptions struct {
	// Scale is the speed of the replay relative to the recording, from 0.000001 to
	// 1,000,000. Default 1.
	Scale float64
	// From and To select a part of the trace, in recorded time since the first
	// request. If To is 0, the part lasts to the end.
	From, To time.Duration
	// Seed is for the prompts that are generated because the trace has none.
	Seed uint64
}

// Validate returns an error that joins a [*checks.InvalidError] for each invalid field.
func (o TraceOptions) Validate() error {
	var errs []error
	if o.Scale != 0 && !(o.Scale >= 1e-6 && o.Scale <= 1e6) {
		errs = append(errs, invalid("TraceOptions.Scale", o.Scale, "0.000001 to 1,000,000"))
	}
	if o.From < 0 || o.To != 0 && o.To <= o.From {
		errs = append(errs, invalid("TraceOptions.To", o.To.String(), "more than From, which is at least 0"))
	}
	return errors.Join(errs...)
}

// maxTraceErrors is the number of bad lines after which reading stops.
const maxTraceErrors = 20

// ReadTrace reads a trace in one of these forms, which it detects:
//
//   - CSV with the columns TIMESTAMP, ContextTokens and GeneratedTokens, as
//     published by Azure, with instants such as 2023-11-16 18:15:46.6805900;
//   - CSV with the columns Timestamp, Request tokens and Response tokens, as in
//     BurstGPT, with instants in seconds, and with Session ID in its newer files. Its
//     other columns are not used;
//   - JSON lines with timestamp (milliseconds), input_length, output_length and
//     hash_ids (one for each 512 tokens of input, the last of which may be fewer), as
//     published by Mooncake;
//   - the same with messages, the prompt, as written by [Recorder].
//
// Blocks with the same hash ID have the same text, in each replay with the same seed. A
// server with a prefix cache so finds as much of each prompt as the hash IDs of the trace
// allow, up to the tokens of its chat template.
//
// Rows with the same Session ID are the turns of one conversation. A turn has the earlier
// turns and the answers of the server under test before its own text, which is as long as
// its request tokens leave room for after the recorded request and response tokens of the
// turn before. If they leave none, the conversation begins again with that row. The turn
// is sent at its instant, or after the answer to the turn before if that is later. So a
// user pauses as long as in the trace, unless answers take longer than then.
//
// Requests are sorted by time. Those with neither output tokens nor messages had failed
// when they were recorded; they are left out and counted, see [Trace.Failed]. If no
// request has output tokens, as for embeddings, all are kept. The error joins a
// [*LineError] for each of the first 20 lines that cannot be used.
func ReadTrace(r io.Reader, o TraceOptions) (*Trace, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	in := bufio.NewReader(r)
	for { // skip a byte order mark and white space
		c, _, err := in.ReadRune()
		if err != nil {
			return nil, &LineError{"trace", 1, errors.New("the trace is empty")}
		}
		if c != '\ufeff' && c != '\n' && c != '\r' && c != ' ' {
			_ = in.UnreadRune()
			break
		}
	}
	read := readCSVTrace
	if first, _ := in.Peek(1); string(first) == "{" {
		read = readJSONTrace
	}
	arrivals, err := read(in)
	if err != nil {
		return nil, err
	}
	if len(arrivals) == 0 {
		return nil, &LineError{"trace", 2, errors.New("the trace has no requests, want a line for each after the names of the columns")}
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Compare(a.At, b.At) })
	t := &Trace{seed: o.Seed}
	scale := o.Scale
	if scale == 0 {
		scale = 1
	}
	generated := slices.ContainsFunc(arrivals, func(a arrival) bool { return a.Output > 0 })
	for _, a := range arrivals {
		at := a.At - arrivals[0].At
		if at < o.From || o.To > 0 && at >= o.To {
			continue
		}
		if generated && a.Output == 0 && len(a.Prompt.Messages) == 0 {
			t.failed++
			continue
		}
		a.At = units.Seconds((at - o.From).Seconds() / scale)
		t.arrivals = append(t.arrivals, a)
	}
	if len(t.arrivals) == 0 {
		return nil, fmt.Errorf("workload: trace: no request is between From and To, and %d are left out that had failed when they were recorded", t.failed)
	}
	return t.linked(), nil
}

// lineErrors are the errors of lines. add reports whether there are too many.
type lineErrors []error

func (l *lineErrors) add(line int, err error) (enough bool) {
	*l = append(*l, &LineError{"trace", line, err})
	return len(*l) >= maxTraceErrors
}

// Len returns the number of requests.
func (t *Trace) Len() int { return len(t.arrivals) }

// Validate returns a [*checks.InvalidError] if t is nil or has no requests, as the zero
// Trace.
func (t *Trace) Validate() error {
	if t == nil || len(t.arrivals) == 0 {
		return invalid("Trace", 0, "at least one request; see ReadTrace")
	}
	return nil
}

// Arrivals implements [pace.Pacer].
func (t *Trace) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for _, a := range t.arrivals {
			if !yield(a.At) {
				return
			}
		}
	}
}

// Request returns the request with number seq modulo Len.
func (t *Trace) Request(seq uint64) Request {
	i := int(seq % uint64(len(t.arrivals)))
	a := t.arrivals[i]
	if len(a.Prompt.Messages) > 0 {
		return Request{Prompt: a.Prompt, MaxTokens: a.Output}
	}
	r := Request{Prompt: Prompt{ExtraBody: a.Prompt.ExtraBody}, MaxTokens: max(1, a.Output)}
	if t.links[i] != nil {
		r.Prompt.Messages = t.conversation(seq, i)
	} else {
		r.Prompt.Messages = Ask(t.text(seq, a)).Messages
	}
	return r
}

// text returns the generated prompt of the request with number seq.
func (t *Trace) text(seq uint64, a arrival) string {
	if len(a.Blocks) == 0 {
		return t.words(t.seed, seq, max(1, a.Input))
	}
	var b strings.Builder
	var rng *rand.Rand // of the last block
	for i, id := range a.Blocks {
		rng = rand.New(rand.NewPCG(^t.seed, uint64(id)))
		t.sizer.append(&b, rng, min(blockTokens, a.Input-i*blockTokens))
	}
	return t.sizer.fit(b.String(), rng, a.Input)
}

// words returns a text of n tokens.
func (t *Trace) words(seed, stream uint64, n int) string {
	var b strings.Builder
	rng := rand.New(rand.NewPCG(seed, stream))
	t.sizer.append(&b, rng, n)
	return t.sizer.fit(b.String(), rng, n)
}

// WithTokenizer returns a replay of t whose generated prompts have exact lengths by count;
// see [Synthetic.WithTokenizer].
func (t *Trace) WithTokenizer(count func(text string) int) (Workload, error) {
	exact := *t
	var err error
	exact.sizer, err = newSizer(count)
	return &exact, err
}

// Failed returns the number of requests of the recording that had failed and are not
// part of t.
func (t *Trace) Failed() int { return t.failed }

// String returns the number of requests, those left out, and the length of the trace.
func (t *Trace) String() string {
	text := fmt.Sprintf("a trace of %s requests within %v", units.Grouped(len(t.arrivals)), units.Short(t.arrivals[len(t.arrivals)-1].At))
	if n, requests := t.sessions(); n > 0 {
		text += fmt.Sprintf(", %s of them in %s sessions", units.Grouped(requests), units.Grouped(n))
	}
	if t.failed > 0 {
		text += fmt.Sprintf(", without %s that had failed when they were recorded", units.Grouped(t.failed))
	}
	return text
}
