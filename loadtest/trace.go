package loadtest

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
)

// Arrival is one request of a trace: when it came, and how many tokens went in
// and out.
type Arrival struct {
	At     time.Duration `json:"at_ns"`
	Input  int           `json:"input"`
	Output int           `json:"output"`
	// Prompt is what was asked, if the trace has it; otherwise one of Input
	// tokens is made up.
	Prompt Prompt `json:"prompt,omitzero"`
}

// Trace is the recorded traffic of a service. It is the [Pacer] and the
// [Workload] of its own replay.
type Trace struct {
	arrivals []Arrival
	seed     uint64
}

// TraceOptions say what to make of a trace.
type TraceOptions struct {
	// Scale is how many times faster than recorded the trace is replayed. Zero
	// means 1.
	Scale float64
	// From and To cut out a window, in recorded time since the first arrival. To
	// 0 means to the end.
	From, To time.Duration
	// Seed makes the prompts that the trace lacks.
	Seed uint64
}

// Validate reports everything that is wrong with o.
func (o TraceOptions) Validate() error {
	var errs []error
	if o.Scale != 0 && !(o.Scale >= 1e-6 && o.Scale <= 1e6) {
		errs = append(errs, &InvalidError{"TraceOptions.Scale", o.Scale, "0.000001 to 1,000,000"})
	}
	if o.From < 0 || o.To != 0 && o.To <= o.From {
		errs = append(errs, &InvalidError{"TraceOptions.To", o.To.String(), "more than From, which is at least 0"})
	}
	return errors.Join(errs...)
}

// TraceError says which line of a trace cannot be used, and why.
type TraceError struct {
	Line int // from 1
	Err  error
}

func (e *TraceError) Error() string {
	return fmt.Sprintf("loadtest: trace, line %d: %v", e.Line, e.Err)
}

// Unwrap returns the reason.
func (e *TraceError) Unwrap() error { return e.Err }

// maxTraceErrors is how many bad lines are reported before reading is given up.
const maxTraceErrors = 20

// ReadTrace reads a trace in any of these forms, which it tells apart:
//
//   - CSV with the columns TIMESTAMP, ContextTokens and GeneratedTokens, as
//     Azure publishes them, with instants such as 2023-11-16 18:15:46.6805900;
//   - CSV with the columns Timestamp, Request tokens and Response tokens, as
//     BurstGPT has them, with instants in seconds;
//   - JSON lines with timestamp (milliseconds), input_length, output_length and
//     hash_ids (one for each 512 tokens of input), as Mooncake publishes them;
//   - the same with messages, the prompt itself, as [Recorder] writes them.
//
// Arrivals are sorted by time. The error joins a [*TraceError] for each of the
// first 20 lines that cannot be used.
func ReadTrace(r io.Reader, o TraceOptions) (*Trace, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	in := bufio.NewReader(r)
	for { // a byte order mark and white space before the first line
		c, _, err := in.ReadRune()
		if err != nil {
			return nil, &TraceError{1, errors.New("the trace is empty")}
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
	slices.SortStableFunc(arrivals, func(a, b Arrival) int { return cmp.Compare(a.At, b.At) })
	t := &Trace{seed: o.Seed}
	scale := o.Scale
	if scale == 0 {
		scale = 1
	}
	for _, a := range arrivals {
		at := a.At - arrivals[0].At
		if at < o.From || o.To > 0 && at >= o.To {
			continue
		}
		a.At = units.Seconds((at - o.From).Seconds() / scale)
		t.arrivals = append(t.arrivals, a)
	}
	if len(t.arrivals) == 0 {
		return nil, errors.New("loadtest: no request of the trace is within the window")
	}
	return t, nil
}

// lineErrors gathers the errors of lines, and says when there are too many.
type lineErrors []error

func (l *lineErrors) add(line int, err error) (enough bool) {
	*l = append(*l, &TraceError{line, err})
	return len(*l) >= maxTraceErrors
}

func readCSVTrace(r *bufio.Reader) ([]Arrival, error) {
	rows := csv.NewReader(r)
	rows.ReuseRecord, rows.FieldsPerRecord = true, -1
	header, err := rows.Read()
	if err != nil {
		return nil, &TraceError{1, err}
	}
	column := func(names ...string) int {
		return slices.IndexFunc(header, func(h string) bool { return slices.Contains(names, strings.ToLower(strings.TrimSpace(h))) })
	}
	at, input, output := column("timestamp"), column("contexttokens", "request tokens"), column("generatedtokens", "response tokens")
	if min(at, input, output) < 0 {
		return nil, &TraceError{1, fmt.Errorf("columns %q, want TIMESTAMP, ContextTokens and GeneratedTokens, or Timestamp, Request tokens and Response tokens", header)}
	}
	var arrivals []Arrival
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
		} else if err != nil { // the file itself cannot be read any further
			return nil, errors.Join(append(errs, fmt.Errorf("loadtest: trace: %w", err))...)
		} else {
			line, _ = rows.FieldPos(0)
		}
		if err == nil && len(row) <= max(at, input, output) {
			err = fmt.Errorf("%d columns, want %d", len(row), max(at, input, output)+1)
		}
		var a Arrival
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

func parseRow(at, input, output string) (Arrival, error) {
	var a Arrival
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

// epoch is where the instants of traces are counted from: a Duration spans 292
// years.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func readJSONTrace(r *bufio.Reader) ([]Arrival, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var arrivals []Arrival
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

func parseArrival(line []byte) (Arrival, error) {
	var row struct {
		Timestamp *float64  `json:"timestamp"`
		Input     *int      `json:"input_length"`
		Output    *int      `json:"output_length"`
		Hashes    []int64   `json:"hash_ids"`
		Messages  []Message `json:"messages"`
	}
	if err := json.Unmarshal(line, &row); err != nil {
		return Arrival{}, err
	}
	if row.Timestamp == nil || row.Input == nil || row.Output == nil {
		return Arrival{}, errors.New("timestamp, input_length or output_length is missing")
	}
	if !(*row.Timestamp >= 0 && *row.Timestamp < math.MaxInt64/1e6) {
		return Arrival{}, fmt.Errorf("timestamp is %v, want milliseconds of at least 0", *row.Timestamp)
	}
	if *row.Input < 0 || *row.Output < 0 || max(*row.Input, *row.Output) > maxLength {
		return Arrival{}, fmt.Errorf("lengths are %d and %d, want 0 to 1,048,576", *row.Input, *row.Output)
	}
	const block = 512
	if want := (*row.Input + block - 1) / block; row.Hashes != nil && len(row.Hashes) != want {
		return Arrival{}, fmt.Errorf("%d hash_ids for an input_length of %d, want %d", len(row.Hashes), *row.Input, want)
	}
	a := Arrival{At: units.Seconds(*row.Timestamp / 1000), Input: *row.Input, Output: *row.Output, Prompt: Prompt{row.Messages}}
	if row.Messages != nil {
		return a, a.Prompt.check()
	}
	return a, nil
}

// Len returns the number of requests.
func (t *Trace) Len() int { return len(t.arrivals) }

// Arrivals yields when the requests are due.
func (t *Trace) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for _, a := range t.arrivals {
			if !yield(a.At) {
				return
			}
		}
	}
}

// Request returns the request with number seq, beginning anew after the last.
func (t *Trace) Request(seq uint64) Request {
	a := t.arrivals[seq%uint64(len(t.arrivals))]
	if len(a.Prompt.Messages) > 0 {
		return Request{Prompt: a.Prompt, MaxTokens: a.Output}
	}
	r := Synthetic{Input: Length{Mean: float64(a.Input), Max: maxLength}, Seed: t.seed}.Request(seq)
	r.MaxTokens = max(1, a.Output)
	return r
}

// String tells the size of the trace.
func (t *Trace) String() string {
	return fmt.Sprintf("a trace of %s requests within %v", units.Grouped(len(t.arrivals)), units.Short(t.arrivals[len(t.arrivals)-1].At))
}
