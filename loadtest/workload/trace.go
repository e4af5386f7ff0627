package workload

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
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
}

// Trace is a recording of production traffic. For a replay it is both the
// [pace.Pacer] and the [Workload] of a plan. Make one by [ReadTrace].
type Trace struct {
	arrivals []arrival
	seed     uint64
	failed   int // recorded as failed, and left out
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
//     BurstGPT, with instants in seconds;
//   - JSON lines with timestamp (milliseconds), input_length, output_length and
//     hash_ids (one for each 512 tokens of input), as published by Mooncake;
//   - the same with messages, the prompt, as written by [Recorder].
//
// Requests are sorted by time. Those with neither output tokens nor messages had failed
// when they were recorded; they are left out and counted, see [Trace.Failed]. If no
// request has output tokens, as for embeddings, all are kept. The error joins a [*LineError] for each of the
// first 20 lines that cannot be used.
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
	return t, nil
}

// lineErrors are the errors of lines. add reports whether there are too many.
type lineErrors []error

func (l *lineErrors) add(line int, err error) (enough bool) {
	*l = append(*l, &LineError{"trace", line, err})
	return len(*l) >= maxTraceErrors
}

func readCSVTrace(r *bufio.Reader) ([]arrival, error) {
	rows := csv.NewReader(r)
	rows.ReuseRecord, rows.FieldsPerRecord = true, -1
	header, err := rows.Read()
	if err != nil {
		return nil, &LineError{"trace", 1, err}
	}
	column := func(names ...string) int {
		return slices.IndexFunc(header, func(h string) bool { return slices.Contains(names, strings.ToLower(strings.TrimSpace(h))) })
	}
	at, input, output := column("timestamp"), column("contexttokens", "request tokens"), column("generatedtokens", "response tokens")
	if min(at, input, output) < 0 {
		return nil, &LineError{"trace", 1, fmt.Errorf("columns %q, want TIMESTAMP, ContextTokens and GeneratedTokens, or Timestamp, Request tokens and Response tokens", header)}
	}
	var arrivals []arrival
	var errs lineErrors
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return arrivals, errors.Join(errs...)
		}
		line := 0
		var broken *csv.ParseError
		if errors.As(err, &broken) {
			line, err = broken.Line, broken.Err
		} else if err != nil { // the file cannot be read
			return nil, errors.Join(append(errs, fmt.Errorf("workload: trace: %w", err))...)
		} else {
			line, _ = rows.FieldPos(0)
		}
		if err == nil && len(row) <= max(at, input, output) {
			err = fmt.Errorf("%d columns, want %d", len(row), max(at, input, output)+1)
		}
		var a arrival
		if err == nil {
			a, err = parseRow(row[at], row[input], row[output])
		}
		if err != nil {
			if errs.add(line, err) {
				return nil, errors.Join(errs...)
			}
			continue
		}
		arrivals = append(arrivals, a)
	}
}

func parseRow(at, input, output string) (arrival, error) {
	var a arrival
	var errs []error
	count := func(what, text string) int {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 0 || n > maxLength {
			errs = append(errs, fmt.Errorf("%s is %q, want 0 to 1,048,576 tokens", what, text))
		}
		return n
	}
	a.Input, a.Output = count("input", input), count("output", output)
	at = strings.TrimSpace(at)
	if s, err := strconv.ParseFloat(at, 64); err == nil && s >= 0 && s < math.MaxInt64/1e9 {
		a.At = units.Seconds(s)
	} else if when, err := time.Parse("2006-01-02 15:04:05", strings.TrimSuffix(at, "+00:00")); err == nil {
		a.At = when.Sub(epoch)
	} else {
		errs = append(errs, fmt.Errorf("timestamp is %q, want seconds or an instant such as 2023-11-16 18:15:46.68", at))
	}
	return a, errors.Join(errs...)
}

// epoch is the zero of the instants of traces, since a Duration spans 292 years.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func readJSONTrace(r *bufio.Reader) ([]arrival, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var arrivals []arrival
	var errs lineErrors
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		a, err := parseArrival(line)
		if err != nil {
			if errs.add(n, err) {
				break
			}
			continue
		}
		arrivals = append(arrivals, a)
	}
	if err := lines.Err(); err != nil {
		errs.add(n+1, err)
	}
	return arrivals, errors.Join(errs...)
}

func parseArrival(line []byte) (arrival, error) {
	var row struct {
		Timestamp *float64  `json:"timestamp"`
		Input     *int      `json:"input_length"`
		Output    *int      `json:"output_length"`
		Hashes    []int64   `json:"hash_ids"`
		Messages  []Message `json:"messages"`
	}
	if err := json.Unmarshal(line, &row); err != nil {
		return arrival{}, err
	}
	if row.Timestamp == nil || row.Input == nil || row.Output == nil {
		return arrival{}, errors.New("timestamp, input_length or output_length is missing")
	}
	if !(*row.Timestamp >= 0 && *row.Timestamp < math.MaxInt64/1e6) {
		return arrival{}, fmt.Errorf("timestamp is %v, want milliseconds of at least 0", *row.Timestamp)
	}
	if *row.Input < 0 || *row.Output < 0 || max(*row.Input, *row.Output) > maxLength {
		return arrival{}, fmt.Errorf("lengths are %d and %d, want 0 to 1,048,576", *row.Input, *row.Output)
	}
	const block = 512
	if want := (*row.Input + block - 1) / block; row.Hashes != nil && len(row.Hashes) != want {
		return arrival{}, fmt.Errorf("%d hash_ids for an input_length of %d, want %d", len(row.Hashes), *row.Input, want)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return arrival{}, err
	}
	extra, err := extraBody(members, "timestamp", "input_length", "output_length", "hash_ids", "messages")
	if err != nil {
		return arrival{}, err
	}
	a := arrival{At: units.Seconds(*row.Timestamp / 1000), Input: *row.Input, Output: *row.Output, Prompt: Prompt{row.Messages, extra}}
	if row.Messages != nil {
		return a, a.Prompt.Validate()
	}
	return a, ValidateExtraBody("extra_body", extra)
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
	a := t.arrivals[seq%uint64(len(t.arrivals))]
	if len(a.Prompt.Messages) > 0 {
		return Request{Prompt: a.Prompt, MaxTokens: a.Output}
	}
	r := Synthetic{Input: Length{Mean: float64(a.Input), Max: maxLength}, Seed: t.seed}.Request(seq)
	r.MaxTokens, r.Prompt.ExtraBody = max(1, a.Output), a.Prompt.ExtraBody
	return r
}

// Failed returns the number of requests of the recording that had failed and are not
// part of t.
func (t *Trace) Failed() int { return t.failed }

// String returns the number of requests, those left out, and the length of the trace.
func (t *Trace) String() string {
	text := fmt.Sprintf("a trace of %s requests within %v", units.Grouped(len(t.arrivals)), units.Short(t.arrivals[len(t.arrivals)-1].At))
	if t.failed > 0 {
		text += fmt.Sprintf(", without %s that had failed when they were recorded", units.Grouped(t.failed))
	}
	return text
}
